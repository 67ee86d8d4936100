"""The arms' speed benchmark, small: its made-up matrix, its plain step, its lines of JSON and its report."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix, diags_array

from benchmarks.arms import __main__ as command
from benchmarks.arms import floor, gpu_report, matrices, ours, processes, report
from benchmarks.arms.bars import bars
from benchmarks.arms.found import Found, Measured
from benchmarks.arms.needs import flops, step_bytes
from benchmarks.arms.plan import SMALL, Planned, Sizes, planned, planned_cuda
from benchmarks.arms.side import SCORES, Outcome, Rates, Trial, parsed, peak_bytes
from benchmarks.arms.world import World
from models.multi_vae import MultiVaeConfig, MultiVaeNetwork, Posterior, multinomial_loss
from models.rows import Rows

WORLD = World(users=300, held_out_users=100, items=800, mean_length=20.0)
CPU = torch.device("cpu")

RATES = Rates(
    processor="A processor",
    threads=2,
    decoder={"float32": 100e9, "bfloat16": 200e9},
    square={"float32": 120e9, "bfloat16": 250e9},
    copy=20e9,
    triad=24e9,
    automatic="bfloat16",
    versions="torch 0",
)

# name: users a second, seconds of ranking for those who were evaluated, NDCG@100
MADE: dict[str, tuple[int, float | None, float | None]] = {
    "ours float32 0": (1_000, 2.0, 0.3),
    "ours float32 1": (1_000, 2.0, 0.301),
    "ours float32 2": (1_000, 2.0, 0.302),
    "ours bfloat16": (2_400, 2.0, 0.3015),
    "recbole float32": (800, 6.0, 0.304),
    "recbole bfloat16": (1_200, None, None),
    "recbole whole": (790, None, 0.299),
    "cornac": (750, 5.0, None),
    "floor": (600, None, 0.3005),
    "growth ours 1": (8_000, 0.5, None),
    "growth ours 4": (2_000, 1.0, None),
    "growth ours 16": (500, 4.0, None),
    "growth floor 1": (4_000, None, None),
    "growth floor 4": (500, None, None),
    "growth floor 16": (100, None, None),
    "large": (2_000, 2.0, None),
}


def outcome(speed: int, ranking: float | None, users: int) -> Outcome:
    seconds = users / speed
    return Outcome(
        users=users,
        epoch_seconds=(seconds * 9, seconds, seconds),
        prepared_seconds=1.5,
        training_peak=1_250_000_000,
        peak=2_500_000_000,
        precision="bfloat16",
        evaluation_seconds=ranking,
        call_seconds=tuple(np.linspace(0.001, 0.003, 101).tolist()),
        versions="a peer 1",
    )


@pytest.fixture
def found(tmp_path: Path) -> Found:
    sides = planned(Sizes(), tmp_path, threads=2)[1:]
    made = {each.name: MADE[each.name] for each in sides}
    measured = {
        each.name: Measured(each, outcome(*made[each.name][:2], each.world.users), made[each.name][2]) for each in sides
    }
    return Found(RATES, measured, seconds=600.0)


def test_the_matrix_has_the_shape_that_is_asked_for() -> None:
    drawn = WORLD.draw()
    assert drawn.train.shape == (300, 800)
    assert drawn.fold_in.shape == drawn.held_out.shape == (100, 800)
    whole = drawn.fold_in + drawn.held_out
    for matrix in (drawn.train, csr_matrix(whole)):
        lengths = np.diff(matrix.indptr)
        assert lengths.min() >= 5
        assert lengths.mean() == pytest.approx(20, rel=0.1)
        assert matrix.max() == 1  # nobody has an item twice
    assert drawn.train.has_canonical_format
    assert np.bincount(drawn.train.indices, minlength=800).min() >= 1
    np.testing.assert_array_equal(np.diff(drawn.held_out.indptr), np.diff(whole.indptr) // 5)


def test_the_matrix_is_that_of_its_seed() -> None:
    one, same, other = WORLD.draw(), WORLD.draw(), replace(WORLD, seed=1).draw()
    for part in matrices.PARTS:
        np.testing.assert_array_equal(getattr(one, part).toarray(), getattr(same, part).toarray())
        assert not np.array_equal(getattr(one, part).toarray(), getattr(other, part).toarray())


def test_the_closest_user_is_closer_than_popularity_alone_would_bring() -> None:
    train = WORLD.draw().train
    # The same histories' lengths and items' counts, but who has what is left to chance.
    shuffled = np.random.default_rng(0).permutation(train.indices)
    chance = csr_matrix((train.data, shuffled, train.indptr), shape=train.shape)
    assert closest(train) > 1.2 * closest(chance)


def closest(matrix: csr_matrix) -> float:
    """Return the mean over users of the cosine to the user who is most like them."""
    unit = diags_array(np.diff(matrix.indptr) ** -0.5) @ matrix
    cosines = (unit @ unit.T).toarray()
    np.fill_diagonal(cosines, 0)
    return float(cosines.max(axis=1).mean())


def test_matrices_come_back_from_their_files(tmp_path: Path) -> None:
    drawn = WORLD.draw()
    assert not matrices.written(tmp_path)
    matrices.write(drawn, tmp_path)
    assert matrices.written(tmp_path)
    read = matrices.read(tmp_path)
    for part in matrices.PARTS:
        np.testing.assert_array_equal(getattr(read, part).toarray(), getattr(drawn, part).toarray())


def test_the_plain_step_minimises_what_ours_does() -> None:
    matrix = WORLD.draw().train[:7]
    rows, dense = Rows.of(matrix, CPU), torch.from_numpy(matrix.toarray())
    network = MultiVaeNetwork(800, MultiVaeConfig(), torch.Generator().manual_seed(0))
    plain = floor.Dense(800).eval()
    own = dict(network.state_dict())
    plain.load_state_dict(
        {
            "encoder.0.weight": own["item_rows"].T,
            "encoder.0.bias": own["item_bias"],
            "encoder.2.weight": own["to_posterior.weight"],
            "encoder.2.bias": own["to_posterior.bias"],
            "decoder.0.weight": own["from_latent.weight"],
            "decoder.0.bias": own["from_latent.bias"],
            "decoder.2.weight": own["to_logits.weight"],
            "decoder.2.bias": own["to_logits.bias"],
        }
    )
    logits, posterior = network(rows)
    assert isinstance(posterior, Posterior)
    output = plain(dense)
    torch.testing.assert_close(output[0], logits)
    expected = multinomial_loss(logits, rows).mean() + 0.1 * posterior.kl().mean()
    torch.testing.assert_close(floor.loss(dense, output, 0.1), expected)


@pytest.mark.parametrize("side", [ours, floor])
def test_a_side_trains_and_leaves_scores_that_are_judged(
    side: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    matrices.write(WORLD.draw(), tmp_path / "data")
    trial = Trial(side="ours", data=str(tmp_path / "data"), epochs=2, threads=1, evaluated=50, calls=3, judged=40)
    answer = side.run(trial)
    assert (answer.users, len(answer.epoch_seconds)) == (300, 2)
    assert np.load(SCORES).shape == (40, 800)
    assert 0.02 < processes.judge(trial, tmp_path / SCORES) < 1


def test_an_answer_is_the_last_line_of_what_a_side_prints() -> None:
    answer = outcome(1_000, 2.0, 300)
    assert parsed(f"a warning\n\n{json.dumps(asdict(answer))}\n", Outcome) == answer
    assert parsed(json.dumps(asdict(RATES)), Rates) == RATES


@pytest.mark.parametrize("printed", ["", "{", "12", '{"users": 3}', '{"users": 3} and more'])
def test_what_is_no_answer_is_told(printed: str) -> None:
    with pytest.raises(ValueError, match=r"the last line is .* it must be the JSON of Outcome"):
        parsed(printed, Outcome)


def test_every_side_gets_the_same_number_of_threads_and_our_modules() -> None:
    variables = processes.environment({"HOME": "/home", "OMP_NUM_THREADS": "7"}, 3)
    assert variables["HOME"] == "/home"
    assert {variables[name] for name in processes.THREADS} == {"3"}
    assert (Path(variables["PYTHONPATH"]) / "benchmarks" / "arms").is_dir()


def test_the_peak_of_memory_holds_what_was_touched() -> None:
    block = np.ones(200_000_000, dtype=np.uint8)
    assert block.nbytes < peak_bytes() < 100 * block.nbytes


def test_what_a_step_needs_is_counted_by_hand() -> None:
    # Three products of two operations in 600 x 20,108, 600 x 400 and 200 x 600 weights; 73 rows of 600 there and back.
    assert flops(20_108, 73.0) == 6 * (12_064_800 + 240_000 + 120_000) + 4 * 600 * 73
    # 24,489,600 weights, eight passes of four bytes; five passes over 500 x 20,108 logits.
    assert step_bytes(20_108, 500, of_logit=2) == 32 * 24_489_600 + 10 * 500 * 20_108


def test_the_plan_measures_the_machine_first_and_leaves_out_what_it_is_told_to(tmp_path: Path) -> None:
    plan = planned(SMALL, tmp_path, threads=2, without=["cornac"])
    assert plan[0].trial.side == "rates"
    assert "cornac" not in {each.name for each in plan}
    assert len({each.key for each in plan}) == len(plan)
    moved = planned(SMALL, tmp_path / "elsewhere", threads=2)
    assert moved[0].key == plan[0].key != planned(Sizes(), tmp_path, threads=2)[0].key


def test_the_bars_are_judged_by_the_precision_that_is_our_default(found: Found) -> None:
    told = [(bar.figure, bar.holds) for bar in bars(found)]
    assert told == [
        ("3.0 times as fast", False),
        ("NDCG@100 0.2960 to 0.3060 by seed, and 0.2990", True),
        ("3.0 times as fast", True),
        ("50.0 times as fast", True),
        ("2.0 s", True),
        ("4.0 times as fast", True),
        ("2.50 GB", True),
        ("2.98 ms", True),
    ]
    slow = replace(found, rates=replace(RATES, automatic="float32"))
    assert next(bars(slow)).figure == "1.2 times as fast"


def test_a_bar_that_does_not_hold_is_told(found: Found) -> None:
    large = found.sides["large"]
    heavy = replace(large, outcome=replace(large.outcome, peak=3_000_000_000))
    better = replace(found.sides["recbole whole"], ndcg=0.31)
    told = replace(found, sides={**found.sides, "large": heavy, "recbole whole": better})
    assert [bar.holds for bar in bars(told)] == [False, False, True, True, True, True, False, True]
    assert report.section(told, "x").count("**does not hold**") == 3


def test_the_report_sets_ratios_before_figures(found: Found) -> None:
    lines = report.section(found, "python -m benchmarks.arms").splitlines()
    for expected in (
        "| ours, float32 | 1.25 | 1,000 | 0.3000 | 8 | 1.5 s | 1.25 GB |",
        "| ours, bfloat16 | 3.00 | 2,400 | 0.3015 | 8 | 1.5 s | 1.25 GB |",
        "| RecBole MultiVAE | 1.00 | 800 | 0.3040 | 8 | 1.5 s | 1.25 GB |",
        "| Cornac VAECF | 0.94 | 750 |  | 4 | 1.5 s | 1.25 GB |",
        "| a plain dense step | 0.75 | 600 | 0.3005 | 8 | 1.5 s | 1.25 GB |",
        "| RecBole | 3.0 | 6.0 s | 10,000 |",
        "| Cornac | 50.0 | 100.0 s | 500 |",
        # 500 users of 74.7 million operations at 100 GFLOP/s are 374 ms of 500; 985 MB at 20 GB/s are 49 ms.
        "| float32 | 75% | 374 ms | 49 ms | 500 ms | 100 GFLOP/s | 120 GFLOP/s |",
        "| bfloat16 | 90% | 187 ms | 44 ms | 208 ms | 200 GFLOP/s | 250 GFLOP/s |",
        "| 5,027 | 18 | 2.00 | 8,000 | 4,000 | 2.5 s | 2.50 GB | 2.50 GB |",
        "| 80,432 | 292 | 5.00 | 500 | 100 | 20.0 s | 2.50 GB | 2.50 GB |",
    ):
        assert expected in lines
    assert "200 epochs would take 3.2 hours" in "\n".join(lines)


def test_without_peers_the_report_says_what_is_left(found: Found) -> None:
    alone = {name: each for name, each in found.sides.items() if "recbole" not in name and name != "cornac"}
    text = report.section(replace(found, sides=alone), "x")
    assert "| ours, float32 |  | 1,000 | 0.3000 | 8 | 1.5 s | 1.25 GB |" in text
    assert "| Cornac" not in text


def test_the_report_of_a_gpu_extrapolates_a_full_training(tmp_path: Path) -> None:
    sides = planned_cuda(Sizes(), tmp_path, threads=2)[1:]
    made = {each.name: Measured(each, outcome(354_000, None, each.world.users)) for each in sides}
    rates = replace(RATES, decoder={"float32": 50e12, "bfloat16": 100e12})
    lines = gpu_report.section(Found(rates, made, 60.0), "x").splitlines()
    # 116,677 users 200 times at 354,000 a second; 26.4 of 100 TFLOP/s.
    assert "| ours, bfloat16, batches of 24,576 | 1.00 | 354,000 | 66 s | 26% | 1.00 |" in lines


def test_the_command_measures_once_and_keeps_what_a_gpu_measured(
    found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def measure(each: Planned, folder: Path, torch_wanted: str) -> dict[str, Any]:
        asked.append(each.name)
        side = found.sides.get(each.name)
        answer = RATES if side is None else side.outcome
        return {"key": each.key, "answer": asdict(answer), "ndcg": side and side.ndcg, "seconds": 60.0}

    document = tmp_path / "docs" / "speed.md"
    monkeypatch.setattr(command, "_measure", measure)
    monkeypatch.setenv("ABP_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "argv", ["arms", "--output", str(document), "--threads", "2"])
    command.main()
    assert asked == ["rates", *found.sides]
    text = document.read_text()
    assert text.startswith("# Speed of the arms\n")
    assert "17 minutes in all." in text
    assert "torch found no CUDA" in text
    document.write_text(text.replace("Not measured", "Measured elsewhere"))
    command.main()
    assert len(asked) == 17
    assert "Measured elsewhere" in document.read_text()
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--fresh"])
    command.main()
    assert len(asked) == 34
