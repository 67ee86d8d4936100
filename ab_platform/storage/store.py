"""The store: every operational statement, each method one transaction that writes all or nothing.

What a method does when it is repeated is nothing: rows are inserted once by their natural key, a launch or a stop that
stands is left as it is. The statements themselves lie beside this module, by subject.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta

from sqlalchemy import Engine

from ab_platform.access import Token, ending, renewed
from ab_platform.alerts import Alert, AlertKey
from ab_platform.documents import Document, Kind
from ab_platform.errors import StoreAwayError, StoreError
from ab_platform.events import AnyEvent, Exposure, Surface
from ab_platform.lineage import Artifact, Change, Dataset, Launch, StudyTrial, Title, Trial
from ab_platform.results import Check, DecisionRow, Headline, LiftView, Outcome, SampleRatioRow
from ab_platform.storage import (
    alerts,
    assignments,
    attributes,
    datasets,
    day_counts,
    deleting,
    documents,
    erasing,
    events,
    experiments,
    histories,
    history,
    lineage,
    migrating,
    partitions,
    per_user_statements,
    recounting,
    results,
    split_history,
    split_statements,
    title_groups,
    tokens,
    user_days,
    user_story,
)
from ab_platform.storage.assignments import Placed, Written
from ab_platform.storage.connection import connect, reading, writing
from ab_platform.storage.datasets import DatasetWriter, InteractionColumns
from ab_platform.storage.day_counts import DayCount
from ab_platform.storage.deleting import DroppedDay, RawEvents
from ab_platform.storage.events import OutcomeColumns, Recorded, Status
from ab_platform.storage.per_user import KNOWN_BEFORE, PerUser, Population
from ab_platform.storage.per_user_statements import AgeCell, Cell, ExposedOn, FirstExposed, UserValues
from ab_platform.storage.recounting import Compared, Users
from ab_platform.storage.results import Stored
from ab_platform.storage.split_statements import ExposedUsers, KnownUsers
from ab_platform.storage.title_groups import TitleGroups
from ab_platform.storage.user_days import RolledUp
from ab_platform.storage.user_story import Whose
from ab_platform.user_story import UserStory

__all__ = [
    "KNOWN_BEFORE",
    "AgeCell",
    "Cell",
    "Compared",
    "DatasetWriter",
    "DayCount",
    "DroppedDay",
    "ExposedOn",
    "ExposedUsers",
    "FirstExposed",
    "InteractionColumns",
    "KnownUsers",
    "OutcomeColumns",
    "PerUser",
    "Placed",
    "Population",
    "RawEvents",
    "Recorded",
    "RolledUp",
    "Status",
    "Store",
    "Stored",
    "TitleGroups",
    "UserValues",
    "Users",
    "Whose",
    "Written",
    "open_store",
]

OPEN_DAYS_AT_ONCE = 50_000
"""Open user-days that one transaction of a roll-up takes, so that writers wait for it only shortly."""

USERS_AT_ONCE = 10_000
"""Users whose days one transaction opens anew or compares with a recount."""

EVENTS_AT_ONCE = 50_000
"""Raw events that one transaction deletes."""

RECORD_ATTEMPTS = 4
"""Times that recording may find no partition for a day, since it is new or went in between, before it gives up."""


def open_store(
    url: str, *, migrate: bool, timeout_seconds: float | None = None, connections: int = 5, read_only: bool = False
) -> Store:
    """Open the store at an address.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`.
        migrate: bring the tables up to date first; else only check that they are.
        timeout_seconds: the longest wait for a connection, a lock or a statement, each; None for patience.
        connections: open at once, at most.
        read_only: let the database refuse every write.

    Raises:
        StoreAwayError: when the database does not answer, or not in time.
        StoreError: when it is not migrated and `migrate` is false, or holds something else.
    """
    engine = connect(url, timeout_seconds=timeout_seconds, connections=connections, read_only=read_only)
    if migrate:
        migrating.migrate(engine)
    else:
        migrating.check_migrated(engine)
    return Store(engine)


def unchecked_store(url: str, *, timeout_seconds: float, connections: int) -> Store:
    """Make a store whose database may be away just now; nothing is sent to it yet.

    Args:
        url: as in `open_store`.
        timeout_seconds: that a statement, or a wait for a lock, may take.
        connections: at most, to PostgreSQL.

    Raises:
        StoreError: for an address that cannot be read.
    """
    return Store(connect(url, timeout_seconds=timeout_seconds, connections=connections))


class Store:
    """What the platform keeps, on one database.

    Args:
        engine: from `connection.connect`, migrated.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._days = partitions.Days()

    @property
    def url(self) -> str:
        """Return the address, with its password: for another process of the platform, never for a message."""
        return self.engine.url.render_as_string(hide_password=False)

    @property
    def writes_side_by_side(self) -> bool:
        """Tell whether several transactions can write at once; to a SQLite file only one can."""
        return self.engine.dialect.name != "sqlite"

    def close(self) -> None:
        """Let go of the database's connections."""
        self.engine.dispose()

    # Data sets --------------------------------------------------------------------------------------------------------

    def dataset(self, name: str) -> Dataset | None:
        """Return a data set by its name."""
        with reading(self.engine) as connection:
            return datasets.find(connection, name)

    def datasets(self) -> tuple[Dataset, ...]:
        """List the data sets by name."""
        with reading(self.engine) as connection:
            return datasets.every(connection)

    @contextmanager
    def ingesting(self, name: str, content_hash: str, source: str, at: datetime) -> Iterator[DatasetWriter]:
        """Write one data set in one transaction; without `finish`, or after an error or a kill, nothing of it stays.

        Args:
            name: of the data set.
            content_hash: of its source.
            source: where it comes from, for people.
            at: now.

        Raises:
            StoreError: for a name that is there already, or a writer that was not finished.
        """
        with writing(self.engine) as connection:
            writer = DatasetWriter(connection, Dataset(name, content_hash, source, 0, 0, 0, 0, 0, at))
            yield writer
            if writer.finished is None:
                raise StoreError(f"the ingest of '{name}' ended without finish(); nothing was stored: ingest it again")

    def interactions(self, dataset: str, *, least_rating: float) -> InteractionColumns:
        """Return the interactions of a data set that are rated at least so, or not rated."""
        with reading(self.engine) as connection:
            return datasets.interactions_of(connection, dataset, least_rating=least_rating)

    def history(self, dataset: str, user_id: str, *, least_rating: float) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Return the titles of one user's interactions that are rated at least so, or not rated, and their times.

        Times are unix seconds, 0 where unknown; the order is any.
        """
        with reading(self.engine) as connection:
            return histories.history(connection, dataset, user_id, least_rating=least_rating)

    def titles(self, dataset: str) -> dict[str, Title]:
        """Return the titles of a data set by their id."""
        with reading(self.engine) as connection:
            return datasets.titles_of(connection, dataset)

    # What was trained -------------------------------------------------------------------------------------------------

    def artifact(self, artifact_id: str) -> Artifact:
        """Return an artifact by its id.

        Raises:
            NotFoundError: with the nearest id.
        """
        with reading(self.engine) as connection:
            return lineage.artifact(connection, artifact_id)

    def artifact_of(self, recipe_hash: str) -> Artifact | None:
        """Return the newest artifact that was made from a recipe."""
        with reading(self.engine) as connection:
            return lineage.artifact_of(connection, recipe_hash)

    def artifacts(self) -> tuple[Artifact, ...]:
        """List the artifacts, the oldest first."""
        with reading(self.engine) as connection:
            return lineage.every_artifact(connection)

    def register(self, artifact: Artifact) -> None:
        """Store an artifact; the one of its id stays as it is."""
        with writing(self.engine) as connection:
            lineage.register(connection, artifact)

    def trials(self, recommender: str, data_hash: str, code_version: str) -> tuple[Trial, ...]:
        """List the trials of one recommender on one data set under one version of the code, the oldest first."""
        with reading(self.engine) as connection:
            return lineage.trials_of(connection, recommender, data_hash=data_hash, code_version=code_version)

    def record_trial(self, trial: Trial) -> None:
        """Store a trial; the one of the same recipe stays."""
        with writing(self.engine) as connection:
            lineage.record_trial(connection, trial)

    def study_trials(self, study: str) -> tuple[StudyTrial, ...]:
        """List the trials of a study by number, also those that are not complete."""
        with reading(self.engine) as connection:
            return lineage.trials_of_study(connection, study)

    def claim(self, trial: StudyTrial) -> bool:
        """Store a trial of a study under its number; return whether the number was free."""
        with writing(self.engine) as connection:
            return lineage.claim(connection, trial)

    def advance(self, trial: StudyTrial) -> None:
        """Store how far a trial of a study came, unless it has ended; a complete one becomes a trial of its recipe."""
        with writing(self.engine) as connection:
            lineage.advance(connection, trial)

    def write_document(self, document: Document) -> bool:
        """Store what a command found in place of what has its kind and name; return whether that differed."""
        with writing(self.engine) as connection:
            return documents.write(connection, document)

    def document(self, kind: Kind, name: str) -> Document | None:
        """Return a document by its kind and name; None where there is none."""
        with reading(self.engine) as connection:
            return documents.find(connection, kind, name)

    def documents(self, kind: Kind) -> Mapping[str, datetime]:
        """Return when each document of a kind was written, by its name, the newest first."""
        with reading(self.engine) as connection:
            return documents.written(connection, kind)

    # Experiments ------------------------------------------------------------------------------------------------------

    def launch(self, launch: Launch, *, reason: str | None = None) -> bool:
        """Write a launch; the very same again changes nothing.

        Returns:
            Whether it is new.

        Raises:
            ExperimentError: for a key that is taken, or buckets that a running experiment owns.
            NotFoundError: for an artifact that is not registered.
        """
        with writing(self.engine) as connection:
            return experiments.launch(connection, launch, reason=reason)

    def experiment(self, key: str) -> Launch:
        """Return a launch by its key.

        Raises:
            NotFoundError: with the nearest key.
        """
        with reading(self.engine) as connection:
            return experiments.get(connection, key)

    def experiments(self) -> tuple[Launch, ...]:
        """List the launches, the oldest first."""
        with reading(self.engine) as connection:
            return experiments.every(connection)

    def free_slices(self, layer: str) -> tuple[tuple[int, int], ...]:
        """List the bucket ranges of a layer that no running experiment owns, from the lowest."""
        with reading(self.engine) as connection:
            return experiments.free_slices(connection, layer)

    def ramp(self, key: str, traffic: float, *, at: datetime, reason: str | None = None) -> bool:
        """Change the share of owned users who are in; nobody changes arm.

        Returns:
            Whether it changed.

        Raises:
            ExperimentError: for a stopped experiment, or a traffic outside [0, 1].
            NotFoundError: for an unknown key.
        """
        with writing(self.engine) as connection:
            return experiments.ramp(connection, key, traffic=traffic, at=at, reason=reason)

    def stop(self, key: str, *, at: datetime, reason: str | None = None) -> bool:
        """Stop an experiment: its buckets are free again, and events from then on do not count.

        Returns:
            Whether it was running.

        Raises:
            ExperimentError: for a moment before the launch, or before the planned end where the raw events are gone.
            NotFoundError: for an unknown key.
        """
        with writing(self.engine) as connection:
            stopped = experiments.stop(connection, key, at=at, reason=reason)
            if stopped:
                user_days.reopen(connection, key, since=at)
            return stopped

    def note(self, change: Change) -> None:
        """Add a line to an experiment's change log."""
        with writing(self.engine) as connection:
            experiments.note(connection, change)

    def changes(self, key: str) -> tuple[Change, ...]:
        """List what changed in an experiment, the oldest first."""
        with reading(self.engine) as connection:
            return experiments.changes(connection, key)

    def changes_so_far(self) -> int:
        """Return a number that grows with every launch, ramp, stop and note, of whatever experiment."""
        with reading(self.engine) as connection:
            return experiments.changes_so_far(connection)

    def made_up_experiments(self) -> frozenset[str]:
        """Return the experiments whose visits are not live: replayed or simulated, on their own calendar."""
        with reading(self.engine) as connection:
            return experiments.made_up(connection)

    # What users saw and did -------------------------------------------------------------------------------------------

    def record(self, batch: Sequence[AnyEvent], outcomes: Sequence[Outcome] = ()) -> Recorded:
        """Store events, and what replayed users do under every arm; what is there already stays.

        Events of an experiment whose raw events were deleted are too late: they are counted in the answer only.

        Raises:
            EventError: for an id that is not time-ordered.
            NotFoundError: for an experiment that is not launched, or an arm that it does not have.
            ExperimentError: for outcomes of an experiment whose raw events were deleted.
        """
        return events.summed(self._recorded(batch, outcomes))

    def record_each(self, batch: Sequence[AnyEvent | Exposure]) -> tuple[Status, ...]:
        """Store events and exposures, and say what became of each, in the order of the batch.

        Of two transactions with the same event, exactly one is told that it stored it.

        Raises:
            EventError: for an id that is not time-ordered.
            NotFoundError: for an experiment that is not launched, or an arm that it does not have.
        """
        return self._recorded(batch, ())

    def _recorded(self, batch: Sequence[AnyEvent | Exposure], outcomes: Sequence[Outcome]) -> tuple[Status, ...]:
        """Record, again where a day had no partition yet, or lost it in between."""
        for _ in range(RECORD_ATTEMPTS):
            try:
                return self._record_once(batch, outcomes)
            except partitions.DaysMissingError as error:
                self._make_partitions(error.days)
            except Exception as error:
                if not partitions.lacking(error):
                    raise
                self._days.forget()
        return self._record_once(batch, outcomes)

    def _record_once(self, batch: Sequence[AnyEvent | Exposure], outcomes: Sequence[Outcome]) -> tuple[Status, ...]:
        with writing(self.engine) as connection:
            events.write_outcomes(connection, outcomes)
            return events.record_each(connection, batch, self._days)

    def make_partitions(self, *, since: date, days: int) -> int:
        """Make the partitions of events for some days ahead, so that nothing that is recorded waits for it.

        On SQLite there are none.

        Args:
            since: the first day.
            days: how many.

        Returns:
            How many were made; those that were there are not counted.
        """
        return self._make_partitions({since + timedelta(days=day) for day in range(days)})

    def _make_partitions(self, days: Collection[date]) -> int:
        if self.engine.dialect.name == "sqlite":
            return 0
        with writing(self.engine) as connection:
            return partitions.make(connection, days)

    def watched(self, experiment: str, user_id: str, *, until: datetime | None = None) -> tuple[str, ...]:
        """Return each title that a user watched under an experiment once, by its first watch.

        Args:
            experiment: its key.
            user_id: the user.
            until: watches from then on do not count; all do where it is None.
        """
        with reading(self.engine) as connection:
            return histories.watched(connection, experiment, user_id, until=until)

    def replayed_users(self, experiment: str) -> frozenset[str]:
        """Return the users whose outcomes are known under every arm."""
        with reading(self.engine) as connection:
            return events.replayed_users(connection, experiment)

    def outcomes(self, experiment: str) -> tuple[OutcomeColumns, ...]:
        """Return the outcomes of a replay, a surface and arm each, aligned by user; nothing without a replay."""
        with reading(self.engine) as connection:
            return events.outcomes(connection, experiment)

    def roll_up(self, experiment: str | None = None, *, batch: int = OPEN_DAYS_AT_ONCE) -> RolledUp:
        """Count the user-days with new events anew, of one experiment or of all; without new events, nothing.

        Args:
            experiment: its key, or None for all.
            batch: open days that one transaction takes.
        """
        counted, taken = 0, batch
        touched: set[str] = set()
        while taken == batch:
            with writing(self.engine) as connection:
                done = user_days.roll_up(connection, experiment, batch=batch)
            counted, taken = counted + done.counted, done.taken
            touched |= done.experiments
        with reading(self.engine) as connection:
            newest = user_days.watermark(connection, experiment, as_of=None)
        return RolledUp(counted, newest, tuple(sorted(touched)))

    def recount(self, since: datetime, until: datetime, *, batch: int = USERS_AT_ONCE) -> RolledUp:
        """Count the user-days of an interval anew from their events, whatever is stored of them, and roll up the rest.

        Cut short, it leaves open the days that it did not come to, and the next roll-up counts them.

        Args:
            since: begin of the interval.
            until: its end, exclusive.
            batch: users whose days one transaction opens.
        """
        with reading(self.engine) as connection:
            keys = recounting.during(connection, since=since, until=until)
        opened = {key for key in keys for users in self._user_ranges(key, batch) if self._reopen(users, since, until)}
        done = self.roll_up()
        return replace(done, experiments=tuple(sorted(opened.union(done.experiments))))

    def compare_with_recount(self, experiment: str, *, batch: int = USERS_AT_ONCE) -> Compared:
        """Compare the user-days of an experiment with a recount from its events, every value; nothing is changed.

        Args:
            experiment: its key.
            batch: users whom one transaction recounts.
        """
        days = differing = 0
        for users in self._user_ranges(experiment, batch):
            with reading(self.engine) as connection:
                found = recounting.compare(connection, users)
            days, differing = days + found.user_days, differing + found.differing
        return Compared(days, differing)

    def _user_ranges(self, experiment: str, batch: int) -> Iterator[Users]:
        """Go through the users of an experiment, a range at a time."""
        users = Users(experiment)
        while True:
            with reading(self.engine) as connection:
                users = recounting.next_users(connection, users, count=batch)
            yield users
            if users.last is None:
                return

    def _reopen(self, users: Users, since: datetime, until: datetime) -> bool:
        with writing(self.engine) as connection:
            return recounting.reopen(connection, users, since=since, until=until) > 0

    # Raw events that are not needed any more --------------------------------------------------------------------------

    def raw_events(self, experiment: str) -> RawEvents:
        """Count the raw events of an experiment, and the user-days that wait to be counted from them."""
        with reading(self.engine) as connection:
            return deleting.raw_events(connection, experiment)

    def give_up_events(self, experiment: str, *, stored: int, at: datetime, reason: str) -> bool:
        """Say for good that the raw events of an experiment are deleted, and note it in the change log, once.

        From then on none of its events is recorded and none of its user-days is counted anew.

        Args:
            experiment: its key.
            stored: raw events there were when the user-days were compared with them.
            at: now.
            reason: for the change log.

        Returns:
            Whether they may be deleted; not where events came in since, or wait to be counted.

        Raises:
            NotFoundError: for an unknown key.
        """
        with writing(self.engine) as connection:
            return deleting.give_up(connection, experiment, stored=stored, at=at, reason=reason)

    def delete_events(self, experiment: str, *, batch: int = EVENTS_AT_ONCE) -> int:
        """Delete some raw events of an experiment that were given up; return how many, fewer than `batch` at the end.

        Args:
            experiment: its key.
            batch: events, at most.
        """
        with writing(self.engine) as connection:
            return deleting.delete_some(connection, experiment, batch=batch)

    def drop_days_of_events(self, *, at: datetime) -> tuple[DroppedDay, ...]:
        """Drop the partitions whose events are all of given-up experiments, and those of days past that are empty.

        A day that is in use stays: `delete_events` empties it, and the next time it goes. On SQLite there are none.

        Args:
            at: now.

        Returns:
            The days that went.
        """
        if self.engine.dialect.name == "sqlite":
            return ()
        with reading(self.engine) as connection:
            days = deleting.days_to_drop(connection, at=at)
        dropped: list[DroppedDay] = []
        for day in days:
            try:
                with writing(self.engine) as connection:
                    gone = deleting.drop_day(connection, day, at=at)
            except StoreAwayError as error:
                if not deleting.in_use(error):
                    raise
                break
            dropped += [gone] if gone else []
        return tuple(dropped)

    # Who may ask, and who asked to be forgotten -----------------------------------------------------------------------

    def add_token(self, token: Token) -> bool:
        """Store a token; return whether it is new, not the very same that is there.

        Raises:
            AccessError: where another one has its id.
        """
        with writing(self.engine) as connection:
            return tokens.add(connection, token)

    def tokens(self) -> tuple[Token, ...]:
        """List the tokens, also those that let nobody in any more, the oldest first."""
        with reading(self.engine) as connection:
            return tokens.every(connection)

    def rotate_token(self, token_id: str, *, at: datetime, grace: timedelta, secret: bytes) -> tuple[Token, str]:
        """Give a token's client a new one that may do the same; the old one lets it in for a time of grace.

        Repeated with the same secret in that time, it changes nothing.

        Args:
            token_id: of the old one.
            at: now.
            grace: how long the old one is still good, unless it expires before.
            secret: 32 random bytes.

        Returns:
            The new token and its text.

        Raises:
            NotFoundError: for an unknown id.
            AccessError: where the old one is refused already, for a grace below 0, or a secret of another length.
        """
        with writing(self.engine) as connection:
            old = tokens.get(connection, token_id, lock=True)
            new, text = renewed(old, at=at, secret=secret)
            return tokens.hand_over(connection, ending(old, at=at, grace=grace), new), text

    def revoke_token(self, token_id: str, *, at: datetime) -> bool:
        """Refuse a token from a moment on; return whether it was not revoked before.

        Raises:
            NotFoundError: for an unknown id.
        """
        with writing(self.engine) as connection:
            return tokens.revoke(connection, token_id, at=at)

    def erase(self, user_id: str, *, at: datetime) -> Mapping[str, int]:
        """Delete every row of a user, and note when; return how many rows, by table.

        Args:
            user_id: the user, as the platform knows them.
            at: now.
        """
        with writing(self.engine) as connection:
            return erasing.erase(connection, user_id, at=at)

    def erasures(self) -> Mapping[str, datetime]:
        """Return since when each erased user is forgotten, by the sha256 of the user id."""
        with reading(self.engine) as connection:
            return erasing.every(connection)

    # Assignments ------------------------------------------------------------------------------------------------------

    def users_after(self, dataset: str, after: str | None, *, count: int) -> list[str]:
        """Return the next users of a data set, by interactions or attributes, in the database's order.

        Args:
            dataset: whose users.
            after: the id before the first; None to begin.
            count: how many, at most.
        """
        with reading(self.engine) as connection:
            return assignments.users_after(connection, dataset, after=after, count=count)

    def write_assignments(self, users: Users, placed: Iterable[Placed], *, traffic: float, at: datetime) -> Written:
        """Store who of some users is in; who is not loses the row, and who has it with the same arm keeps it as it is.

        Args:
            users: whom the rows are about.
            placed: those of them who are in, once each.
            traffic: share that is in now.
            at: now.
        """
        with writing(self.engine) as connection:
            return assignments.write(connection, users, placed=placed, traffic=traffic, at=at)

    def exposed_arms(self, experiment: str) -> Iterator[list[tuple[str, str]]]:
        """Stream who was exposed to which arm on any surface, a part at a time; a user of several comes once each."""
        with reading(self.engine) as connection:
            yield from assignments.exposed_arms(connection, experiment)

    # Alerts -----------------------------------------------------------------------------------------------------------

    def raise_alerts(self, rows: Iterable[Alert]) -> tuple[Alert, ...]:
        """Store the alerts that do not stand yet and return them; one that was cleared begins anew, not sent."""
        with writing(self.engine) as connection:
            return alerts.raise_alerts(connection, rows)

    def clear_alerts(self, experiment: str, *, keep: Collection[AlertKey], at: datetime) -> tuple[Alert, ...]:
        """Clear the alerts of an experiment that stand, but for those of some keys, and return them."""
        with writing(self.engine) as connection:
            return alerts.clear(connection, experiment, keep=keep, at=at)

    def unsent_alerts(self) -> tuple[Alert, ...]:
        """List the alerts that stand and were not sent, the oldest first."""
        with reading(self.engine) as connection:
            return alerts.unsent(connection)

    def mark_sent(self, rows: Iterable[Alert], *, at: datetime) -> int:
        """Note when alerts were sent; return how many were not noted before.

        One that was cleared and raised anew since it was read stays unsent.
        """
        with writing(self.engine) as connection:
            return alerts.mark_sent(connection, rows, at=at)

    def alerts(self, experiment: str | None = None) -> tuple[Alert, ...]:
        """List the alerts of an experiment, or of all, also those that were cleared; the oldest first."""
        with reading(self.engine) as connection:
            return alerts.every(connection, experiment)

    # Users ------------------------------------------------------------------------------------------------------------

    def write_attributes(self, dataset: str, name: str, values: Iterable[tuple[str, str]]) -> int:
        """Store one attribute of users, such as their device, in place of what it was; return how many it is of."""
        with writing(self.engine) as connection:
            return attributes.write(connection, dataset, name, values=values)

    def count_interactions(self, dataset: str, *, least_rating: float) -> int:
        """Store as the attribute `interactions` how many of them each user of a data set has."""
        with writing(self.engine) as connection:
            return attributes.count_interactions(connection, dataset, least_rating=least_rating)

    def attributes(self, dataset: str) -> Mapping[str, int]:
        """Return how many values each user attribute of a data set has, by name."""
        with reading(self.engine) as connection:
            return attributes.counts(connection, dataset)

    def cells(
        self, population: Population, families: Sequence[Sequence[PerUser]], dimensions: Sequence[str] = ()
    ) -> tuple[Cell, ...]:
        """Add up the users of each (surface, arm, segments) exactly, sorted.

        Args:
            population: whose rows.
            families: columns whose products with each other are wanted.
            dimensions: what the users are divided by: user attributes, `interactions` or `cohort`.
        """
        with reading(self.engine) as connection:
            return per_user_statements.cells(connection, population, families=families, dimensions=dimensions)

    def user_values(self, population: Population, columns: Sequence[PerUser]) -> tuple[UserValues, ...]:
        """Read the users' rows, a surface at a time."""
        with reading(self.engine) as connection:
            return per_user_statements.values(connection, population, columns=columns)

    def by_age(self, population: Population, families: Sequence[Sequence[PerUser]]) -> tuple[AgeCell, ...]:
        """Add up what users did on each day since their exposure's, of those who came then."""
        with reading(self.engine) as connection:
            return per_user_statements.by_age(connection, population, families=families)

    def exposed_by_day(self, population: Population) -> tuple[ExposedOn, ...]:
        """Count users on each surface by the day of their exposure."""
        with reading(self.engine) as connection:
            return per_user_statements.exposed_by_day(connection, population)

    def first_exposed(self, population: Population, dimensions: Sequence[str] = ()) -> tuple[FirstExposed, ...]:
        """Count users by the day of their first exposure on any surface, and by segment."""
        with reading(self.engine) as connection:
            return per_user_statements.first_exposed(connection, population, dimensions=dimensions)

    def title_groups(self, population: Population) -> tuple[TitleGroups, ...]:
        """Count the titles that random groups of users, of one size in all arms, were shown on each surface."""
        with writing(self.engine) as connection:  # a stage is filled
            return title_groups.title_groups(connection, population)

    def mixed_users(self, experiment: str, as_of: date) -> int:
        """Count the users who were seen in several arms up to `as_of` inclusive; they are in no sum above."""
        with reading(self.engine) as connection:
            return per_user_statements.count_mixed(connection, experiment, as_of=as_of)

    def day_counts(self, experiment: str, as_of: date) -> tuple[DayCount, ...]:
        """Count user-days by surface, arm and day up to `as_of` inclusive, also those of mixed users."""
        with reading(self.engine) as connection:
            return day_counts.day_counts(connection, experiment, as_of=as_of)

    def exposed_users(
        self, population: Population, surfaces: Sequence[Surface], attributes: Sequence[str] = ()
    ) -> Iterator[ExposedUsers]:
        """Stream the users exposed on some surfaces, also the mixed ones, with their attributes."""
        with reading(self.engine) as connection:
            yield from split_statements.exposed_users(connection, population, surfaces=surfaces, attributes=attributes)

    def known_users(self, population: Population) -> Iterator[KnownUsers]:
        """Stream the users of the population's data set, and whether they were exposed."""
        with reading(self.engine) as connection:
            yield from split_statements.known_users(connection, population)

    def watermark(self, experiment: str, as_of: date | None = None) -> datetime | None:
        """Return the time of the newest event that is rolled up and counts, up to `as_of` where it is given."""
        with reading(self.engine) as connection:
            return user_days.watermark(connection, experiment, as_of=as_of)

    def user_story(self, whose: Whose, *, skip: int = 0, count: int) -> UserStory:
        """Return what is stored of one user under an experiment; many other users cost it nothing.

        Args:
            whose: user and experiment.
            skip: slates, the newest first, that come before.
            count: slates, at most.
        """
        with reading(self.engine) as connection:
            return user_story.user_story(connection, whose, skip=skip, count=count)

    def first_exposures(self, user_id: str, experiments: Iterable[str]) -> Mapping[str, datetime]:
        """Return when a user was first exposed under some experiments, by key; those without an exposure left out."""
        with reading(self.engine) as connection:
            return user_story.first_exposures(connection, user_id, experiments)

    # What was computed ------------------------------------------------------------------------------------------------

    def write_readout(self, readout: Stored) -> None:
        """Store results in place of those of the same experiment and day."""
        with writing(self.engine) as connection:
            results.write(connection, readout)

    def readout(self, experiment: str, as_of: date | None = None) -> Stored | None:
        """Return the results as of a day, the newest by default; None where it was not analysed."""
        with reading(self.engine) as connection:
            return results.read(connection, experiment, as_of=as_of)

    def as_ofs(self, experiment: str) -> tuple[date, ...]:
        """List the days that were analysed, the oldest first."""
        with reading(self.engine) as connection:
            return results.as_ofs(connection, experiment)

    def split_history(self, experiment: str, scope: str = "all") -> tuple[SampleRatioRow, ...]:
        """Return the checks of the split of one scope in all analyses of an experiment, the oldest first."""
        with reading(self.engine) as connection:
            return split_history.of(connection, experiment, scope)

    # What was computed, of all experiments or days --------------------------------------------------------------------

    def headlines(self) -> tuple[Headline, ...]:
        """Return the first primary row of each treatment, of every experiment and day; by experiment, arm and day."""
        with reading(self.engine) as connection:
            return history.headlines(connection)

    def newest_decisions(self) -> Mapping[str, tuple[DecisionRow, ...]]:
        """Return the decisions of each experiment's newest analysis, by its key."""
        with reading(self.engine) as connection:
            return history.newest_decisions(connection)

    def newest_sample_ratios(self) -> Mapping[str, SampleRatioRow]:
        """Return the check of the split of all users in each experiment's newest analysis, by its key."""
        with reading(self.engine) as connection:
            return history.newest_sample_ratios(connection)

    def newest_checks(self) -> Mapping[str, tuple[Check, ...]]:
        """Return the checks of the data in each experiment's newest analysis, by its key."""
        with reading(self.engine) as connection:
            return history.newest_checks(connection)

    def lift_history(self, experiment: str) -> tuple[LiftView, ...]:
        """Return the views against the control of every day that was analysed, the oldest first."""
        with reading(self.engine) as connection:
            return history.lift_history(connection, experiment)
