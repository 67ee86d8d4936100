"""Take the pictures of the documentation: the newest experiment of a store, light and dark.

Run: python -m tests.dashboards.pictures HOME, where HOME holds abp.db, such as .abp
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.dashboards.browser import Reader, reading, served

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDTH = 1280


def take(reader: Reader, scheme: str) -> Path:
    """Take one picture, as high as the page is."""
    reader.open("", width=WIDTH, scheme=scheme)
    bottom = reader.run("document.querySelector('article.abp').getBoundingClientRect().bottom")
    reader.open("", width=WIDTH, height=int(bottom) + 48, scheme=scheme)
    reader.run("document.fonts.ready.then(() => true)")
    path = IMAGES / f"table2-{scheme}.png"
    reader.browser.save_screenshot(str(path))
    return path


def main(home: Path) -> None:
    """Take both pictures of a home's store."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with served(home, folder) as address, reading(address, folder / "profile") as reader:
            for scheme in ("light", "dark"):
                sys.stdout.write(f"{take(reader, scheme)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
