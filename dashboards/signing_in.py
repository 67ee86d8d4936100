"""The door: nobody is asked on a laptop, else a platform token or an identity provider says who is there.

Pages come after it: `app` asks for the person first, and a page without one shows nothing.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hmac import compare_digest
from importlib.util import find_spec
from time import monotonic

import streamlit as st
from streamlit.errors import Error as StreamlitError

from ab_platform.access import Token, hashed
from ab_platform.errors import AccessError, PlatformError
from ab_platform.settings import DashboardSettings, SignIn, dashboard_from_environment
from dashboards import frame, reading
from dashboards.launch import LOOPBACK
from dashboards.person import PERSON, Person, current
from dashboards.tries import Tries

__all__ = ["Person", "confirmed", "current", "person"]

TOKEN_ID = "token id"
"""Where the session keeps which token let the person in: its id, which opens nothing."""

ENDED = "You were signed out: the token expired or was revoked"
REFUSED = (
    "This token does not open the dashboard. It must be whole, still good, and have the scope `read`; whoever runs the "
    "platform makes one by `abp token create NAME --scope read`"
)
WATCH_SECONDS = 60

HERE = "this machine"
"""The address of who has none: somebody on this machine."""


def person() -> Person | None:
    """Return who is there; where nobody is known yet, ask them to sign in, and return None."""
    st.session_state.pop(PERSON, None)
    try:
        chosen = dashboard_from_environment()
        found = _known(chosen)
        if found is None:
            _ask(chosen)
            return None
    except PlatformError as error:
        _show(frame.notice("The dashboard is closed", str(error)))
        _offer_another()
        return None
    st.session_state[PERSON] = found
    if chosen.sign_in != "off":
        _sidebar(found)
    return found


def confirmed() -> Person:
    """Return who is there as it holds at this moment, for who is about to change something.

    Raises:
        AccessError: where nobody is, any more.
        StoreError: for a database that is away.
    """
    chosen = dashboard_from_environment()
    if chosen.sign_in == "token":
        # What the pages read may be seconds old, and a token revoked by now.
        reading.tokens.clear()
    found = _known(chosen)
    if found is None:
        raise AccessError(f"{ENDED}; sign in again")
    return found


def of_token(token: Token, *, at: datetime) -> Person | None:
    """Return whom a token lets in; None for one that is refused, or has not the scope `read`.

    Args:
        token: as it is kept.
        at: now.
    """
    if not token.valid(at) or "read" not in token.scopes:
        return None
    return Person(token.client, "admin" in token.scopes, token.experiments)


def of_claims(claims: Mapping[str, object], chosen: DashboardSettings) -> Person:
    """Return whom an identity provider's claims let in.

    Args:
        claims: of the identity token.
        chosen: who may look and act.

    Raises:
        AccessError: for who may neither look nor act, or without an e-mail address that the provider vouches for.
    """
    address = str(claims.get("email") or "").lower()
    if not address:
        raise AccessError("the identity provider gives no e-mail address; ask for the scope email")
    # Who may write any address into an account is not the one who owns it. Some providers say nothing about it.
    if claims.get("email_verified", True) not in (True, "true"):
        raise AccessError(f"the provider has not verified {address}; verify it there, then sign in again")
    acts = address in chosen.operators
    if not acts and chosen.readers is not None and not _listed(address, chosen.readers):
        raise AccessError(f"{address} may not look at this dashboard; ask whoever runs it (ABP_DASHBOARD_READERS)")
    return Person(address, acts)


def _listed(address: str, readers: frozenset[str]) -> bool:
    domain = address.rpartition("@")[2]
    return not readers.isdisjoint({address, domain, f"@{domain}"})


def _known(chosen: DashboardSettings) -> Person | None:
    """Return who is known to be there without asking anyone."""
    ways: dict[SignIn, Callable[[DashboardSettings], Person | None]] = {
        "off": _on_this_machine,
        "token": _with_token,
        "oidc": _from_provider,
    }
    return ways[chosen.sign_in](chosen)


def _on_this_machine(chosen: DashboardSettings) -> Person:
    address = st.get_option("server.address")
    if address is not None and address not in LOOPBACK:
        raise AccessError(
            f"without sign-in it may be read on this machine only, not on {address}; set ABP_DASHBOARD_SIGN_IN=token "
            "and make tokens by `abp token create NAME --scope read`"
        )
    try:
        return Person(getpass.getuser(), may_act=True)
    except (OSError, KeyError):  # an account without a name, as in a container
        return Person("somebody", may_act=True)


def _with_token(chosen: DashboardSettings) -> Person | None:
    kept = st.session_state.get(TOKEN_ID)
    token = None if kept is None else next((each for each in _tokens(chosen) if each.token_id == kept), None)
    return None if token is None else of_token(token, at=datetime.now(UTC))


def _from_provider(chosen: DashboardSettings) -> Person | None:
    claims = st.user.to_dict()
    return of_claims(claims, chosen) if claims.get("is_logged_in") else None


def _tokens(chosen: DashboardSettings) -> tuple[Token, ...]:
    return reading.tokens(chosen.reading_url)


def _ask(chosen: DashboardSettings) -> None:
    if chosen.sign_in == "token":
        return _ask_for_token(chosen)
    return _ask_provider()


def _ask_for_token(chosen: DashboardSettings) -> None:
    ended = st.session_state.pop(TOKEN_ID, None) is not None
    _show(frame.heading("Sign in", "This dashboard is for people who have a token of the platform."))
    if ended:
        st.html(frame.remark(ENDED, role="alert"))
    with st.form("sign in", clear_on_submit=True, width=420):
        text = st.text_input("Token", type="password", autocomplete="current-password", placeholder="abp_…")
        sent = st.form_submit_button("Sign in", type="primary")
    if not sent:
        return
    told = _try(text.strip(), chosen)
    if told is None:
        st.rerun()
    st.html(frame.remark(told, role="alert"))


def _try(text: str, chosen: DashboardSettings) -> str | None:
    """Let a token's owner in; return why not where they stay out."""
    address = st.context.ip_address
    wait = _tries().take(address if isinstance(address, str) else HERE, monotonic())
    if wait > 0.0:
        return f"Too many tries; wait {wait:.0f} s, then try again"
    reading.tokens.clear()  # a token that was just made opens at once
    shown = hashed(text)
    token = next((each for each in _tokens(chosen) if compare_digest(each.secret_hash, shown)), None)
    if token is None or of_token(token, at=datetime.now(UTC)) is None:
        return REFUSED
    st.session_state[TOKEN_ID] = token.token_id
    return None


@st.cache_resource(show_spinner=False)
def _tries() -> Tries:
    return Tries()


def _ask_provider() -> None:
    _show(frame.heading("Sign in", "This dashboard is for people whom your organisation's sign-in knows."))
    if not st.button("Sign in", type="primary"):
        return
    if find_spec("authlib") is None:
        raise AccessError(
            "authlib is not installed; sign-in by oidc needs it: `pip install 'ab-platform[dashboard-oidc]'`"
        )
    try:
        st.login()
    except StreamlitError as error:
        raise AccessError(
            f"the sign-in is not set up: {str(error).strip().splitlines()[0]} See the section [auth] of "
            "`.streamlit/secrets.toml` in docs/dashboard.md"
        ) from error


def _sidebar(found: Person) -> None:
    """Say who is signed in and what they may do, with the way out."""
    with st.sidebar:
        st.caption(f"{found.name} · {'may look and act' if found.may_act else 'may look'}")
        if st.button("Sign out", key="sign out"):
            _sign_out()
        if TOKEN_ID in st.session_state:
            _watch()


def _offer_another() -> None:
    """Let who is signed in at the provider and refused here come back as somebody else."""
    if st.user.to_dict().get("is_logged_in") and st.button("Sign out", key="sign out"):
        _sign_out()


def _sign_out() -> None:
    st.session_state.clear()
    if st.user.to_dict().get("is_logged_in"):
        st.logout()
    st.rerun()


@st.fragment(run_every=WATCH_SECONDS)
def _watch() -> None:
    """Close the pages that stand open once their token is refused."""
    if _with_token(dashboard_from_environment()) is None:
        st.rerun()


def _show(body: str) -> None:
    st.html(f"<style>{frame.stylesheet()}</style>")
    st.html(body)
