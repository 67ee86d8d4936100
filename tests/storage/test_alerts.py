"""Alerts: raised once while they stand, sent once, and new again after they were cleared."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from ab_platform.alerts import Alert
from ab_platform.storage.store import Store, open_store
from tests.storage.made import KEY, START, after

SPLIT = Alert(KEY, "sample_ratio", "all", START.date(), "the split is 60 to 40", START)
BREACH = Alert(KEY, "guardrail", "pia home_card.play_duration", START.date(), "5 % less", START)
ELSEWHERE = Alert("other", "no_data", "all", START.date(), "no event for a day", START)


def test_what_is_new_is_returned_and_read_back_as_it_was(store: Store) -> None:
    assert store.raise_alerts([SPLIT, ELSEWHERE, BREACH]) == (ELSEWHERE, BREACH, SPLIT)
    assert store.alerts(KEY) == (BREACH, SPLIT)
    assert store.alerts() == (ELSEWHERE, BREACH, SPLIT)
    assert store.raise_alerts([]) == ()


def test_an_alert_that_stands_is_not_raised_twice(store: Store) -> None:
    store.raise_alerts([SPLIT])
    again = replace(SPLIT, message="worse", raised_at=after(days=1))
    assert store.raise_alerts([again, again, BREACH]) == (BREACH,)
    assert store.alerts(KEY) == (BREACH, SPLIT)


def test_alerts_that_are_not_kept_are_cleared_once(store: Store) -> None:
    store.raise_alerts([SPLIT, BREACH, ELSEWHERE])
    cleared = replace(SPLIT, cleared_at=after(days=1))
    assert store.clear_alerts(KEY, keep=[BREACH.key], at=after(days=1)) == (cleared,)
    assert store.clear_alerts(KEY, keep=[BREACH.key], at=after(days=2)) == ()
    assert store.alerts() == (ELSEWHERE, BREACH, cleared)


def test_an_alert_that_comes_again_after_it_was_cleared_is_new_and_unsent(store: Store) -> None:
    store.raise_alerts([SPLIT])
    store.mark_sent([SPLIT], at=after(seconds=1))
    store.clear_alerts(KEY, keep=(), at=after(days=1))
    again = replace(SPLIT, as_of=after(days=2).date(), message="again", raised_at=after(days=2))
    assert store.raise_alerts([again]) == (again,)
    assert store.alerts() == store.unsent_alerts() == (again,)


def test_what_stands_is_sent_once(store: Store) -> None:
    store.raise_alerts([SPLIT, BREACH, ELSEWHERE])
    store.clear_alerts("other", keep=(), at=after(days=1))
    assert store.unsent_alerts() == (BREACH, SPLIT)
    assert store.mark_sent([SPLIT], at=after(seconds=5)) == 1
    assert store.mark_sent([SPLIT], at=after(seconds=9)) == 0
    assert store.unsent_alerts() == (BREACH,)
    assert store.alerts(KEY)[1].sent_at == after(seconds=5)


def test_an_alert_that_was_raised_anew_since_it_was_read_stays_unsent(store: Store) -> None:
    store.raise_alerts([SPLIT])
    store.clear_alerts(KEY, keep=(), at=after(days=1))
    store.raise_alerts([replace(SPLIT, raised_at=after(days=2))])
    assert store.mark_sent([SPLIT], at=after(days=3)) == 0
    assert len(store.unsent_alerts()) == 1


def test_of_several_that_raise_the_same_at_once_one_raises_it(store: Store, url: str) -> None:
    stores = [open_store(url, migrate=False) for _ in range(3)]
    batches = ([SPLIT, BREACH, ELSEWHERE], [ELSEWHERE, BREACH, SPLIT], [BREACH, SPLIT, ELSEWHERE])
    with ThreadPoolExecutor(3) as pool:
        raised = list(pool.map(lambda pair: pair[0].raise_alerts(pair[1]), zip(stores, batches, strict=True)))
    assert sorted(alert.key for found in raised for alert in found) == sorted(
        alert.key for alert in (SPLIT, BREACH, ELSEWHERE)
    )
    for each in stores:
        each.close()
