"""Experiment files: TOML to Experiment and back, with the line of every error."""

import tomllib
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ab_platform.errors import ExperimentError
from ab_platform.experiment import Arm, DataRule, Experiment
from ab_platform.experiment_file import dump, from_values, load, parse

EXAMPLES = sorted((Path(__file__).parent.parent / "experiments").glob("*.toml"))
RICHEST = max((path.read_text(encoding="utf-8") for path in EXAMPLES), key=len)

TEXT = """\
key = "a-b"
days = 7  # a week

[data]
dataset = "ml-1m"
hold_back = 0.3

[[arms]]
name = "one"
recommender = "multi_vae"
weight = 0.5
control = true

[[arms]]
name = "two"
recommender = "pia"
weight = 0.5

[arms.config]
alignment = 0.3
"""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_experiment_is_valid(path: Path) -> None:
    assert load(path).key == path.stem


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("days = 7", "dayz = 7", "x.toml:2: key 'dayz' is unknown; did you mean 'days'?"),
        ("hold_back", "holdback", "x.toml:6: key 'holdback' is unknown; did you mean 'hold_back'?"),
        ("days = 7", "days = 0", "x.toml:2: days is 0; it must be 1 to 365"),
        ("days = 7", 'days = "x"', "x.toml:2: days is 'x'; input should be a valid integer"),
        ("hold_back = 0.3", "hold_back = 2", "x.toml:6: hold_back is 2.0"),
        ('"two"', '"Two"', "x.toml:15: name is 'Two'"),
        ('"pia"\nweight = 0.5', '"pia"\nweight = 5', "x.toml:17: weight is 5.0"),
        ('"pia"\nweight = 0.5', '"pia"\nweight = 0.4', "arm weights sum to 0.9"),
        ('recommender = "pia"\n', "", "x.toml:14: key 'arms.1.recommender' is missing; add it"),
        ("days = 7", "days =", "x.toml: not valid TOML"),
        ('dataset = "ml-1m"', 'datset = "ml-1m"', "x.toml:5: key 'datset' is unknown; did you mean 'dataset'?"),
    ],
)
def test_an_error_says_file_line_and_what_to_do(old: str, new: str, words: str) -> None:
    assert TEXT.count(old) == 1
    with pytest.raises(ExperimentError) as raised:
        parse(TEXT.replace(old, new), source="x.toml")
    assert words in str(raised.value)


MORE = """
[analysis]
monitoring = "sequential"
users = 5000
covariates = ["before", "age"]
segments = ["device"]

[[guardrails]]
row = "home_card.latency"
margin = 0.05

[[metrics]]
name = "quick"
label = "Clicks per slate"
numerator = "clicks"
denominator = "slates"
unit = "fraction"

[[metrics]]
name = "long_tail"
label = "Play duration, 99th percentile user (s)"
numerator = "watch_seconds"
unit = "seconds"
statistic = "quantile"
level = 0.99
"""


def test_analysis_guardrails_and_metrics_of_ones_own_are_read_without_code() -> None:
    made = parse(TEXT.replace("days = 7", 'secondary = ["home_card.quick", "movie_card.long_tail"]') + MORE)
    assert made.analysis.covariates == ("before", "age")
    roles = {row.name: (row.role, row.metric.statistic) for row in made.rows}
    assert roles["home_card.latency"] == ("guardrail", "mean")
    assert roles["home_card.quick"] == ("secondary", "mean")
    assert roles["movie_card.long_tail"] == ("secondary", "quantile")
    assert parse(dump(made)) == made
    assert from_values(made.document()) == made


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("users = 5000", "users = 5", "users is 5; it must be at least 100"),
        ("users = 5000", "user = 5", "key 'user' is unknown; did you mean 'users'?"),
        ('"sequential"', '"daily"', "analysis.monitoring is 'daily'; input should be 'fixed', 'sequential'"),
        ("margin = 0.05", "margin = 5", "margin is 5.0; it must be a fraction in (0, 1)"),
        (
            'numerator = "clicks"',
            'numerator = "click"',
            "numerator is 'click', which is not counted; did you mean 'clicks'?",
        ),
        ("level = 0.99", "level = 99", "level is 99.0; a quantile metric needs one between 0 and 1"),
        (
            "home_card.latency",
            "home_card.latencies",
            "metric 'latencies' is not in the catalogue; did you mean 'latency'?",
        ),
    ],
)
def test_an_error_in_what_is_analysed_has_its_line(old: str, new: str, words: str) -> None:
    text = TEXT + MORE
    with pytest.raises(ExperimentError) as raised:
        parse(text.replace(old, new), source="x.toml")
    assert words in str(raised.value)
    line = next(number for number, each in enumerate(text.replace(old, new).splitlines(), 1) if new in each)
    assert f"x.toml:{line}:" in str(raised.value)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"nowhere\.toml is not a file; give the path of an experiment file"):
        load(tmp_path / "nowhere.toml")


names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)
values = st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(
    key=names,
    hypothesis=st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    config=st.dictionaries(names, values, max_size=3),
    share=st.integers(0, 10),
    day=st.none() | st.dates(date(2000, 1, 1), date(2100, 1, 1)),
)
def test_what_is_dumped_is_read_back(
    key: str, hypothesis: str, config: dict[str, bool | int | float | str], share: int, day: date | None
) -> None:
    arms = (Arm("one", "multi_vae", share / 10, control=True), Arm("two", "pia", 1 - share / 10, config=config))
    made = Experiment(
        key, DataRule("d"), arms, hypothesis=hypothesis, layer="layer!".strip("!"), starts_on=day, salt="s"
    )
    assert parse(dump(made)) == made


def test_the_stores_document_is_read_back() -> None:
    experiment = parse(TEXT)
    assert from_values(experiment.document()) == experiment


WORDS = st.sampled_from(["", "pia", "home_card", "home_card.play_duration", "before", "holm", "a" * 70, "\u0000", "é"])
VALUES = st.recursive(
    st.booleans() | st.integers(-3, 2**70) | st.floats() | WORDS | st.dates() | st.datetimes() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def _places(value: object, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return where something may be put in a document: at each key of it, and beside."""
    match value:
        case dict():
            return [(*at, "unheard_of"), *(place for key, each in value.items() for place in _places(each, (*at, key)))]
        case list():
            return [at, *(place for key, each in enumerate(value) for place in _places(each, (*at, key)))]
    return [at]


@given(st.data())
@settings(max_examples=300)
def test_any_value_in_any_place_is_an_experiment_or_a_clear_error(data: st.DataObject) -> None:
    document = tomllib.loads(RICHEST)
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(_places(document)))
        inner: Any = document
        for key in path:
            inner = inner[key]
        inner[last] = data.draw(VALUES)
    with suppress(ExperimentError):
        assert isinstance(from_values(document), Experiment)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_any_text_is_an_experiment_or_a_clear_error(text: str) -> None:
    with suppress(ExperimentError):
        parse(text)


@given(st.integers(0, len(RICHEST)), st.integers(0, 40), st.text(max_size=10))
def test_a_file_with_a_part_cut_out_is_an_experiment_or_a_clear_error(start: int, length: int, instead: str) -> None:
    with suppress(ExperimentError):
        parse(RICHEST[:start] + instead + RICHEST[start + length :])
