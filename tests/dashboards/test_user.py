"""The page of a user: where they fall, what they were shown, and that nobody's own id is kept or shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from streamlit.testing.v1 import AppTest

from ab_platform.events import AnyEvent, Impression, event_id
from ab_platform.experiment import Experiment
from ab_platform.lineage import Title
from ab_platform.pseudonym import Pseudonyms
from ab_platform.reporting.placement import place
from ab_platform.storage.store import Store
from dashboards.reading_user import SLATES
from tests.dashboards.visiting import html, visit, words
from tests.storage import made

KEY = "sixteen characters and more"
"""Of a door where ids are hashed."""

ASKED = {"experiment": made.KEY, "user": "ann"}


def arm_of(user: str, experiment: Experiment | None = None) -> str:
    where = place(experiment or made.definition(), user, traffic=1.0)
    assert where.arm is not None
    return where.arm


def shown(number: int, *, user: str = "ann", key: str = made.KEY) -> Impression:
    """Show one title an hour after the one before."""
    at = made.after(seconds=3600.0 * number)
    one = made.impression(user, at, key=key, arm=arm_of(user), mark=str(number))
    return replace(one, slate_id=event_id(at, f"{user}/slate"), title_id="t1")


def ingest(store: Store, *users: str, content: str = "hash") -> None:
    with store.ingesting("ml-1m", content, "nowhere", made.START) as writer:
        writer.write_titles([Title("t1", "Heat")])
        writer.write_interactions(list(users), ["t1"] * len(users), None, None)
        writer.finish(bad_rows=0)


def stood(store: Store, *events: AnyEvent, users: tuple[str, ...] = ("ann",)) -> None:
    """Launch the experiment, and let the user be known and have done something."""
    made.started(store)
    ingest(store, *users)
    store.record([*events])


def ask(page: AppTest, user: str) -> AppTest:
    return page.text_input(key="typed user").set_value(user).run()


# What is told ---------------------------------------------------------------------------------------------------------


def test_without_a_user_the_page_asks_for_one(stored: Store) -> None:
    stood(stored)
    assert "Type the id of a user" in words(visit("user"))


def test_a_typed_user_is_told_arm_buckets_slates_and_since_when(stored: Store) -> None:
    first, second = shown(1), shown(2)
    click = replace(made.click("ann", second.at + timedelta(seconds=3)), impression_id=second.event_id)
    watch = replace(made.watch("ann", second.at + timedelta(seconds=4), 90.0), impression_id=second.event_id)
    stood(stored, first, second, click, watch)
    page = ask(visit("user"), "ann")
    text, where = words(page), place(made.definition(), "ann", traffic=1.0)
    assert page.query_params["user"] == "ann"
    assert f"In arm {where.arm}" in text
    assert f"bucket {where.found.layer_bucket:,} of layer recommender" in text
    assert f"bucket {where.found.arm_bucket:,}, which is {where.arm}'s" in text
    assert "Counts since 2026-03-01 01:00 UTC on Home Card." in text
    assert "Slates 1 to 2 of 2" in text
    assert text.index("02:00:00 Home Card") < text.index("01:00:00 Home Card")
    assert "Heat clicked watched 1 min 30 s" in text
    assert text.count("Heat") == 2


def test_a_link_leads_to_the_user(stored: Store) -> None:
    stood(stored, shown(1))
    page = visit("user", **ASKED)
    assert page.text_input(key="typed user").value == "ann"
    assert "Slates 1 to 1 of 1" in words(page)


def test_slates_come_a_page_at_a_time_and_the_address_keeps_it(stored: Store) -> None:
    stood(stored, *(shown(number) for number in range(SLATES + 3)))
    page = visit("user", **ASKED)
    assert f"Slates 1 to {SLATES} of {SLATES + 3}" in words(page)
    assert "Page 1 of 2" in words(page)
    newer, older = page.button[-2:]
    assert (newer.disabled, older.disabled) == (True, False)
    older.click().run()
    assert f"Slates {SLATES + 1} to {SLATES + 3} of {SLATES + 3}" in words(page)
    assert page.query_params["page"] == "2"
    page.button[-2].click().run()
    assert "page" not in page.query_params
    assert f"Slates 1 to {SLATES} of" in words(visit("user", **ASKED, page="x"))
    assert "There is no page 7; the last is page 2." in words(visit("user", **ASKED, page="7"))


def test_another_user_and_another_experiment_begin_with_the_newest_slates(stored: Store) -> None:
    stood(stored, *(shown(number) for number in range(SLATES + 3)))
    made.started(stored, made.definition("elsewhere", layer="other"))
    for change in ("user", "experiment"):
        page = visit("user", **ASKED, page="2")
        if change == "user":
            ask(page, "bob")
        else:
            page.selectbox(key="experiment").select("elsewhere").run()
        assert "page" not in page.query_params
        assert not page.exception


def test_other_experiments_of_the_user_are_linked(stored: Store) -> None:
    stood(stored, shown(1))
    made.started(stored, made.definition("elsewhere", layer="other"))
    made.started(stored, made.definition("sliver", layer="third", buckets=(0, 1)))
    page = visit("user", **ASKED)
    arm = arm_of("ann", made.definition("elsewhere", layer="other"))
    assert f"elsewhere running {arm} —" in words(page)
    assert 'href="user?experiment=elsewhere&amp;user=ann"' in html(page)
    assert "In 1 other experiment the user is not." in words(page)


# States ---------------------------------------------------------------------------------------------------------------


def test_an_unknown_user_is_told_to_be_one(stored: Store) -> None:
    stood(stored)
    text = words(visit("user", experiment=made.KEY, user="nobody"))
    assert "Unknown: nobody of this id is in data set ml-1m" in text
    assert "Slates" not in text


def test_a_user_outside_of_the_experiment_is_told_why(stored: Store) -> None:
    sliver = made.definition("sliver", buckets=(0, 1))
    made.started(stored, sliver)
    ingest(stored, "ann")
    text = words(visit("user", experiment="sliver", user="ann"))
    assert "Not in" in text
    assert "sliver owns 0 to 0, so the user is not one of its own" in text


def test_a_user_who_was_never_served_is_told_to_count_nowhere(stored: Store) -> None:
    stood(stored)
    assert "In, but never served yet" in words(visit("user", **ASKED))


def test_an_erased_user_has_only_the_moment(stored: Store) -> None:
    stood(stored, shown(1))
    stored.erase("ann", at=made.after(days=2))
    text = words(visit("user", **ASKED))
    assert "Erased on 2026-03-03 00:00 UTC" in text
    assert "Heat" not in text
    assert "Counts since" not in text


def test_deleted_events_are_told_and_the_exposure_stays(stored: Store) -> None:
    stood(stored, shown(1))
    stored.roll_up()
    assert stored.give_up_events(made.KEY, stored=1, at=made.after(days=99), reason="old")
    stored.delete_events(made.KEY)
    text = words(visit("user", **ASKED))
    assert "Raw events were deleted on 2026-06-08 00:00 UTC" in text
    assert "Counts since 2026-03-01 01:00 UTC on Home Card." in text


@pytest.mark.usefixtures("stored")
def test_without_an_experiment_the_page_says_how_to_launch_one() -> None:
    assert "no experiment was launched yet; run abp demo" in words(visit("user"))


def test_a_user_does_not_become_a_tag(stored: Store) -> None:
    stood(stored)
    assert "<img" not in html(visit("user", experiment=made.KEY, user="<img src=x>"))


# Pseudonyms -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hashed(stored: Store, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store whose users came in through a door with a key; the pseudonym of Ann."""
    monkeypatch.setenv("ABP_USER_ID_KEY", KEY)
    known = Pseudonyms(KEY)
    ann = known.of("ann")
    made.started(stored)
    ingest(stored, ann, content=known.marked("hash"))
    stored.record([shown(1, user=ann)])
    return ann


def everything(page: AppTest) -> str:
    """Return all that the page, its fields and its address hold."""
    fields = " ".join(str(field.value) for field in page.text_input)
    address = " ".join(str(page.query_params[name]) for name in page.query_params)
    return f"{html(page)} {fields} {address}"


def test_an_own_id_is_hashed_and_neither_shown_nor_kept(hashed: str) -> None:
    page = ask(visit("user"), "ann")
    assert "Slates 1 to 1 of 1" in words(page)
    assert page.query_params["user"] == hashed
    assert f"Known by the pseudonym {hashed}." in words(page)
    assert page.text_input(key="typed user").value == ""
    assert "ann" not in everything(page).split()


def test_a_link_with_the_pseudonym_leads_to_the_user_and_one_with_the_own_id_is_mended(hashed: str) -> None:
    for named in (hashed, "ann"):
        page = visit("user", user=named)
        assert "Slates 1 to 1 of 1" in words(page)
        assert page.query_params["user"] == hashed
        assert "ann" not in everything(page).split()


def test_a_typed_id_is_hashed_even_where_it_looks_like_a_pseudonym(hashed: str) -> None:
    page = ask(visit("user"), hashed)
    assert page.query_params["user"] == Pseudonyms(KEY).of(hashed)
    assert "Unknown" in words(page)


@pytest.mark.usefixtures("hashed")
def test_users_who_came_in_under_another_key_are_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABP_USER_ID_KEY", KEY + "x")
    text = words(visit("user", user="ann"))
    assert "was ingested with a key of user ids, and ABP_USER_ID_KEY is another one now" in text
