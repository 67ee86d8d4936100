"""One user: bucket, arm, slates and events."""

from __future__ import annotations

from dashboards import choosing, frame


def _page(url: str) -> None:
    choosing.experiment(url)


if __name__ == "__main__":
    frame.page(_page)
