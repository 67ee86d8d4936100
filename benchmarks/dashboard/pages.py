"""The pages as they are opened, and a click on each."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

HOME = "experiments"
"""Its address is that of the server: importing the app would start Streamlit here."""

OTHER = "[role='option'][aria-selected='false']"
"""An option that is not chosen, in a list that is open."""

TURN = ".st-key-paging button:not([disabled])"


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        module: of it.
        title: in the navigation.
        asked: what its address asks for.
        opens: selector of what opens a list of choices; empty where the click needs none.
        clicks: selector of what is clicked; the first that fits. Empty for a page without a choice.
        told: what the click does.
    """

    module: str
    title: str
    asked: tuple[tuple[str, str], ...]
    opens: str
    clicks: str
    told: str

    @property
    def path(self) -> str:
        """Return the address of the page, after that of the server."""
        return f"{'' if self.module == HOME else self.module}?{urlencode(self.asked)}"


def pages(experiment: str, user: str) -> tuple[Page, ...]:
    """Return every page, of an experiment where it is of one.

    Args:
        experiment: key.
        user: id, of the page of a user.
    """
    of = (("experiment", experiment),)

    def listed(name: str) -> str:
        return f".st-key-{name} button[aria-haspopup='listbox']"

    def word(name: str) -> str:
        return f"[class*='st-key-{name}'] button[role='radio'][aria-checked='false']"

    return (
        Page("experiments", "Experiments", (), listed("state"), OTHER, "choose a state"),
        Page("results", "Results", of, "", word("effect"), "show differences"),
        Page("health", "Health", of, listed("as_of"), OTHER, "choose another day"),
        Page("over_time", "Over time", of, "", word("effect"), "show differences"),
        Page("segments", "Segments", of, listed("as_of"), OTHER, "choose another day"),
        Page("offline", "Offline", of, listed("accuracy"), OTHER, "choose another metric"),
        Page("latent", "Latent space", (), "", "", ""),
        Page("planner", "Planner", of, "", word("against"), "show days in place of users"),
        Page("user", "A user", (*of, ("user", user)), "", TURN, "turn a page"),
    )
