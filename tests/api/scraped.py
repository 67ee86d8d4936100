"""What a service tells Prometheus, read back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

NEXT_TELLING_SECONDS = 20.0


@dataclass(frozen=True)
class Scraped:
    """One scrape.

    Attributes:
        kinds: of each metric: counter, gauge or histogram.
        told: its help.
        samples: values by name and labels.
    """

    kinds: dict[str, str]
    told: dict[str, str]
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.samples}

    def value(self, name: str, **labels: str) -> float:
        """Return one sample; 0 for one that is not told."""
        return self.samples.get((name, frozenset(labels.items())), 0.0)

    def labels(self, name: str, label: str) -> set[str]:
        """Return the values of a label."""
        return {dict(labels)[label] for each, labels in self.samples if each == name}


def scraped(text: str) -> Scraped:
    families = list(text_string_to_metric_families(text))
    return Scraped(
        {each.name: each.type for each in families},
        {each.name: each.documentation for each in families},
        {(one.name, frozenset(one.labels.items())): one.value for each in families for one in each.samples},
    )


def wait_for(scrape: Callable[[], Scraped], wanted: Callable[[Scraped], bool]) -> Scraped:
    """Scrape until it tells what is wanted: workers that are not asked tell what they counted every few seconds."""
    until = time.monotonic() + NEXT_TELLING_SECONDS
    while True:
        found = scrape()
        if wanted(found):
            return found
        assert time.monotonic() < until, found.samples
        time.sleep(0.2)
