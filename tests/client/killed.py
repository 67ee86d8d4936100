"""A child process that sends clicks through an outbox, saying which are safe, until it is killed.

python -m tests.client.killed URL FOLDER
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from tests.client.made import click, client


def main(url: str, folder: Path) -> None:
    sending = client(url, outbox=folder, batch_size=20)
    for number in count():
        event = click(number)
        sending.send([event])
        print(event.event_id, flush=True)  # noqa: T201 - what the parent holds it to


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
