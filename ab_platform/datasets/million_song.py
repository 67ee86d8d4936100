"""The Million Song Dataset's Taste Profile as it was published: user, song and plays.

Brian McFee, Thierry Bertin-Mahieux, Daniel P. W. Ellis and Gert R. G. Lanckriet, "The Million Song Dataset Challenge",
WWW Companion, 2012. It has no times. A count of plays is no rating, so the interactions are unrated and always count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ab_platform.datasets.delimited import Layout, read
from ab_platform.datasets.files import Member, content_hash, numbered_lines
from ab_platform.datasets.source import BadRows, Batch, Tick, Unit
from ab_platform.lineage import Title

_LAYOUT = Layout("\t", ("user", "song", "plays"), user=0, title=1, rating=2)
_TRIPLETS = "train_triplets.txt"
_TRACKS = "unique_tracks.txt"


@dataclass(frozen=True)
class MillionSong:
    """Plays, and the songs' titles where they were fetched too.

    Attributes:
        name: the data set's name.
        place: where it comes from.
        triplets: `train_triplets.txt`.
        tracks: `unique_tracks.txt`, or None.
    """

    name: str
    place: str
    triplets: Member
    tracks: Member | None

    @property
    def unit(self) -> Unit:
        """Return bytes."""
        return "bytes"

    @property
    def size(self) -> int:
        """Return the bytes of the plays."""
        return self.triplets.size

    def content_hash(self, tick: Tick) -> str:
        """Return the sha256 of plays and tracks."""
        return content_hash((self.triplets, self.tracks) if self.tracks else (self.triplets,), tick)

    def titles(self, bad: BadRows) -> Iterator[Title]:
        """Yield the songs as `title - artist`; a song comes once a track."""
        for line, text in numbered_lines(self.tracks) if self.tracks else ():
            fields = text.split("<SEP>")
            if len(fields) == 4 and fields[1]:
                _, song, artist, title = fields
                yield Title(song, f"{title} - {artist}")
            else:
                place = f"{_TRACKS}:{line}"
                bad.meet(place, f"the row is {text!r}; it must be track<SEP>song<SEP>artist<SEP>title")

    def batches(self, bad: BadRows) -> Iterator[Batch]:
        """Yield the plays; their number is checked and left out."""
        return (replace(batch, ratings=None) for batch in read(self.triplets, _LAYOUT, bad))


def find(files: Sequence[Member], *, name: str, place: str) -> MillionSong | None:
    """Recognise the Taste Profile by its files."""
    triplets = next((file for file in files if file.name == _TRIPLETS), None)
    tracks = next((file for file in files if file.name == _TRACKS), None)
    return MillionSong(name, place, triplets, tracks) if triplets else None
