"""Take the pictures of the documentation, every page of a real store, light and dark, and write the gallery.

Run: python -m tests.dashboards.pictures HOME [FOLDER], where HOME holds abp.db, such as .abp
"""

from __future__ import annotations

import sys
from contextlib import closing, suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from PIL import Image
from selenium.common.exceptions import TimeoutException

from ab_platform.storage.store import open_store
from tests.dashboards.browser import PAGE, Reader, reading, served

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "images" / "dashboard"

DESKTOP, PHONE = 1280, 390
SCHEMES = ("light", "dark")
LEAST_HEIGHT, MOST_HEIGHT = 640, 4_000
COLOURS = 256
TRIES = 3

PAGES: tuple[tuple[str, str, str], ...] = (
    ("experiments", "Experiments", "All experiments: health, days left, the primary lift over the days, the decision."),
    ("results", "Results", "Table 2 of one experiment, with the decision and whether to believe it."),
    ("health", "Health", "Whether the table may be believed: the split, the data, the next step."),
    ("over_time", "Over time", "The lift day by day, with the band for one look and the band for any."),
    ("segments", "Segments", "The lift by segment, and whether it differs between them."),
    ("offline", "Offline", "Table 1 of the arms, their training, and where each came from."),
    ("latent", "Latent space", "Figure 2: users and anchors in the plane, and the drift under masks."),
    ("planner", "Planner", "Users and days against the lift that can be found."),
    ("user", "A user", "One user: bucket, arm, slates, clicks and watches."),
)
"""Modules, titles, and the question that each page answers."""

ON_A_PHONE = ("experiments", "results", "health", "over_time")


def take(reader: Reader, page: str, path: Path, *, width: int, scheme: str) -> None:
    """Take one picture, as high as the page is.

    Args:
        reader: of a served store.
        page: its address.
        path: of the picture.
        width: of the screen, in pixels.
        scheme: light or dark.
    """
    open_patiently(reader, page, width=width, height=LEAST_HEIGHT, scheme=scheme)
    height = _height(reader)
    open_patiently(reader, page, width=width, height=height, scheme=scheme)
    if _height(reader) > height:
        open_patiently(reader, page, width=width, height=_height(reader), scheme=scheme)
    reader.run("document.fonts.ready.then(() => true)")
    whole = Image.open(BytesIO(reader.browser.get_screenshot_as_png())).convert("RGB")
    # Type and lines need few colours: a picture of these takes a quarter of the bytes.
    few = whole.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def open_patiently(reader: Reader, page: str, *, width: int, height: int, scheme: str) -> None:
    """Open a page, and anew where a machine that is busy with other things did not show it in time."""
    show = partial(reader.open, page, width=width, height=height, scheme=scheme, wait_for=PAGE)
    for _ in range(TRIES - 1):
        with suppress(TimeoutException):
            return show()
    return show()


def _height(reader: Reader) -> int:
    bottom = reader.run("document.querySelector('.stMainBlockContainer').getBoundingClientRect().bottom")
    return min(MOST_HEIGHT, max(LEAST_HEIGHT, int(bottom)))


def gallery() -> str:
    """Write the page that shows the pictures."""
    parts = [
        "# The dashboard in pictures\n\n"
        "Every page of `abp dashboard`, of the experiment that `abp demo` runs. Made by `make gallery`.\n"
    ]
    for module, title, question in PAGES:
        parts.append(
            f"\n## {title}\n\n{question}\n\n"
            f'<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="images/dashboard/{module}-dark.png">\n'
            f'  <img alt="The page {title}" src="images/dashboard/{module}-light.png" width="960">\n</picture>\n'
        )
    phones = " ".join(
        f'<img alt="The page {title} on a phone" src="images/dashboard/{module}-phone.png" width="240">'
        for module, title, _ in PAGES
        if module in ON_A_PHONE
    )
    return "".join(parts) + f"\n## On a phone\n\n{phones}\n"


def shown(home: Path) -> tuple[str, str]:
    """Return the key of the experiment that the pictures show, the newest that was analysed, and one of its users."""
    with closing(open_store(f"sqlite:///{home / 'abp.db'}", migrate=False)) as store:
        launches = sorted(store.experiments(), key=lambda launch: launch.launched_at, reverse=True)
        key = next(each.experiment.key for each in launches if store.as_ofs(each.experiment.key))
        return key, next(user for batch in store.exposed_arms(key) for user, _ in batch)


def main(home: Path, folder: Path) -> None:
    """Take all pictures of a home's store.

    Args:
        home: holds the store.
        folder: of the pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key, user = shown(home)
    with TemporaryDirectory() as name:
        logs = Path(name)
        with served(home, logs) as address, reading(address, logs / "profile") as reader:
            for module, _, _ in PAGES:
                query = {"experiment": key} | ({"user": user} if module == "user" else {})
                page = f"{'' if module == PAGES[0][0] else module}?{urlencode(query)}"
                for scheme in SCHEMES:
                    take(reader, page, folder / f"{module}-{scheme}.png", width=DESKTOP, scheme=scheme)
                if module in ON_A_PHONE:
                    take(reader, page, folder / f"{module}-phone.png", width=PHONE, scheme="light")
                sys.stdout.write(f"{module}\n")
    if folder == FOLDER:
        (DOCS / "gallery.md").write_text(gallery(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute() if len(sys.argv) > 2 else FOLDER)
