"""Logs of lm-evaluation-harness as runs: right numbers, and nothing mixed."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from foreign import SCORES, only, sample, samples_of, write_logs, write_xcopa_logs, xcopa_samples

from crossalign import accuracy, tables
from crossalign.__main__ import main
from crossalign.importers.lm_eval import import_logs
from crossalign.importers.report import Faults
from crossalign.importers.samples import read_samples
from crossalign.schema import UserError
from crossalign.store.parts import verify
from crossalign.store.runs import find_run, list_runs

GOLDS = [0, 1, 0, 0]
"""Right options of the first four XCOPA items of `conftest`."""


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return write_xcopa_logs(tmp_path / "logs")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


# --- numbers -----------------------------------------------------------------------------------------------------


def test_a_run_has_the_predictions_that_follow_from_the_logged_likelihoods(logs: Path, cache: Path) -> None:
    report = import_logs(logs, cache)
    run = only(cache)
    assert report.runs == [run.run_id] and not report.left_out and verify(run) == []
    assert (run.spec.model, run.spec.model_identity) == ("org/small", "commit:" + "c" * 40)
    assert (run.spec.task, run.spec.pivot, run.spec.shots, run.spec.dtype) == ("xcopa", "en", 0, "bfloat16")
    rows = tables.instances(run, "it")
    assert rows["instance_id"].tolist() == ["0", "1", "2", "3"] and rows["gold"].tolist() == GOLDS
    assert rows["prediction"].tolist() == [0, 1, 0, 1] and rows["correct"].tolist() == [True, True, True, False]
    assert rows["premise"][1] == "it premise number 1 about a thing." and rows["prompt"][1] == "A prompt 1"
    assert rows["options"][0].tolist() == ["first choice 0 in it.", "the other one 0 in it."]
    assert rows["context"].isna().all()  # a log does not say what was embedded
    scores = tables.option_scores(run, "it")
    assert scores["loglik"].tolist() == [v for pair in SCORES for v in pair]
    assert scores["n_characters"].tolist() == [len("option 0")] * 8 and scores["n_tokens"].isna().all()
    shown = tables.languages(run).set_index("language")
    assert shown["accuracy"].tolist() == [0.75, 0.75] and shown["n"].tolist() == [4, 4]
    assert shown.loc["it", "loglik_margin"] == pytest.approx((1 + 1 + 0 - 8) / 4)


def test_what_is_absent_is_told_and_every_reader_copes(
    logs: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_logs(logs, cache)
    run = only(cache)
    assert tables.rates(run).empty and tables.instance_alignment(run, "it").empty
    assert main(["summary", run.run_id, "--cache", str(cache)]) == 0
    shown = capsys.readouterr().out
    assert "There is no alignment for it, sw." in shown and "no results of the pivot en" in shown
    assert main(["list", "--cache", str(cache), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["complete"] is True
    assert main(["export", run.run_id, "--cache", str(cache), "--out", str(tmp_path / "out")]) == 0
    assert main(["verify", "--cache", str(cache)]) == 0
    assert main(["summary", run.run_id, "--cache", str(cache), "--pooling", "mean"]) == 2


def test_english_items_of_a_language_are_its_pivot_side(tmp_path: Path, cache: Path) -> None:
    wrong = [(b, a) for a, b in SCORES]
    write_logs(tmp_path / "logs", {"xcopa_it": xcopa_samples("it"), "xcopa_en_it": xcopa_samples("en", wrong)})
    import_logs(tmp_path / "logs", cache)
    run = only(cache)
    assert run.languages() == ["it"]
    rows = tables.pivot_instances(run, "it")
    assert rows["correct"].tolist() == [False, False, True, True] and set(rows["language"]) == {"en"}
    assert rows["premise"][0].startswith("en premise")
    assert accuracy.reported(run, "it", "acc", "pivot") == (0.5, 0.1, 4)


def test_language_level_results_alone_give_accuracy_and_interval(tmp_path: Path, cache: Path) -> None:
    rows = xcopa_samples("it")
    write_logs(tmp_path / "a", {"xcopa_it": rows}, without_samples=["xcopa_it"])
    import_logs(tmp_path / "a", cache)
    run = only(cache)
    shown = tables.languages(run).iloc[0]
    assert (shown["accuracy"], shown["n"]) == (0.75, 4)
    assert (shown["accuracy_low"], shown["accuracy_high"]) == pytest.approx((0.3006, 0.9544), abs=1e-4)  # Wilson
    assert len(tables.instances(run, "it")) == len(tables.option_scores(run, "it")) == 0


def test_without_a_count_the_standard_error_gives_it(tmp_path: Path, cache: Path) -> None:
    stderr = math.sqrt(0.75 * 0.25 / 3)  # of four items, as the harness computes it
    write_logs(
        tmp_path / "a",
        {"xcopa_it": xcopa_samples("it")},
        without_samples=["xcopa_it"],
        **{"n-samples": {}, "results": {"xcopa_it": {"acc,none": 0.75, "acc_stderr,none": stderr}}},
    )
    import_logs(tmp_path / "a", cache)
    assert tables.languages(only(cache))["n"].tolist() == [4]


# --- identity ----------------------------------------------------------------------------------------------------


def test_importing_twice_changes_nothing_and_a_changed_file_gives_another_run(
    logs: Path, cache: Path, tmp_path: Path
) -> None:
    first = import_logs(logs, cache)
    before = {p: p.stat().st_mtime_ns for p in cache.rglob("*.json")}
    again = import_logs(shutil.copytree(logs, tmp_path / "elsewhere"), cache)
    assert again.runs == again.unchanged == first.runs
    assert before == {p: p.stat().st_mtime_ns for p in cache.rglob("*.json")}
    path = samples_of(logs, "xcopa_it")
    path.write_text(path.read_text().replace("-9.0", "-9.5"), encoding="utf-8")
    assert import_logs(logs, cache).runs != first.runs and len(list_runs(cache)[0]) == 2


def test_models_shots_templates_limits_and_tasks_are_kept_apart(tmp_path: Path, cache: Path) -> None:
    rows, logs = {"xcopa_it": xcopa_samples("it")}, tmp_path / "logs"
    write_logs(logs / "a", rows)
    write_logs(logs / "b", rows, model="org/other", commit="d" * 40)
    write_logs(logs / "c", rows, commit="e" * 40)
    write_logs(logs / "d", rows, shots=5)
    write_logs(logs / "e", rows, chat_template="{{ x }}", chat_template_sha="123456789")
    write_logs(
        logs / "f", {"hellaswag_de": [sample(i, s, g) for i, (s, g) in enumerate(zip(SCORES, GOLDS, strict=True))]}
    )
    write_logs(logs / "g", rows, config={"model_sha": "c" * 40, "limit": 4.0})
    report = import_logs(logs, cache)
    assert not report.left_out and len(set(report.runs)) == 7
    specs = [r.spec for r in list_runs(cache)[0]]
    assert {s.task for s in specs} == {"xcopa", "hellaswag"}
    assert {s.protocol for s in specs} == {"harness", "harness, chat template 123456", "harness, first 4"}


def test_of_repeated_evaluations_the_newest_counts_or_the_named_one(tmp_path: Path, cache: Path) -> None:
    times = ("2026-01-01T10-00-00.000001", "2026-01-02T10-00-00.000001")
    wrong = [(b, a) for a, b in SCORES]
    write_logs(tmp_path / "logs", {"xcopa_it": xcopa_samples("it", wrong)}, time=times[0])
    write_logs(tmp_path / "logs", {"xcopa_it": xcopa_samples("it")}, time=times[1])
    report = import_logs(tmp_path / "logs", cache)
    assert tables.languages(find_run(cache, report.runs[0]))["accuracy"].tolist() == [0.75]
    assert times[0] in report.notes[0] and not report.left_out
    older = import_logs(tmp_path / "logs", cache, time="2026-01-01")
    assert tables.languages(find_run(cache, older.runs[0]))["accuracy"].tolist() == [0.5]
    with pytest.raises(UserError, match="'2025'"):
        import_logs(tmp_path / "logs", cache, time="2025")


# --- other tasks and forms -----------------------------------------------------------------------------------------


def read(tmp_path: Path, *rows: dict, task: str = "some") -> tuple[list, Faults]:
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    faults = Faults(path)
    return list(read_samples(path, task, "de", faults)), faults


def test_options_may_differ_in_number(tmp_path: Path, cache: Path) -> None:
    rows = [sample(0, [-1, -2, -3], 2), sample(1, [-3, -2, -1, -4], 2), sample(2, [-5, -1], 1)]
    write_logs(tmp_path / "logs", {"arc_de": rows})
    assert not import_logs(tmp_path / "logs", cache).left_out
    run = only(cache)
    assert accuracy.logliks(run, "de").tolist() == [
        [-1, -2, -3, -math.inf], [-3, -2, -1, -4], [-5, -1, -math.inf, -math.inf]
    ]  # fmt: skip
    assert tables.instances(run, "de")["correct"].tolist() == [False, True, True]
    assert tables.languages(run)["loglik_margin"].tolist() == [pytest.approx((-2 + 1 + 4) / 3)]


def test_targets_may_be_texts_and_answers_come_in_several_forms(tmp_path: Path) -> None:
    plain = sample(0, [-1.0, -2.0], "option 1")
    older = sample(1, [-1.0, -2.0], 0, resps=[[[-1.0, False]], [[-2.0, True]]], arguments=[["a", " x"], ["a", " y"]])
    found, faults = read(tmp_path, plain, older)
    assert not faults.count
    assert [(s.instance.gold, s.logliks) for s in found] == [(1, (-1.0, -2.0)), (0, (-1.0, -2.0))]
    assert found[1].instance.continuations == ("x", "y")


def test_unconditional_requests_and_other_filters_are_no_options(tmp_path: Path) -> None:
    row = sample(0, [-1.0, -2.0, -7.0, -8.0], 1)
    for i in (2, 3):
        row["arguments"][f"gen_args_{i}"] = {"arg_0": "", "arg_1": f" option {i - 2}"}
    found, faults = read(tmp_path, row, row | {"filter": "strict"})
    assert not faults.count and [s.logliks for s in found] == [(-1.0, -2.0)]


def test_prompts_that_differ_between_options_are_kept_in_the_continuations(tmp_path: Path) -> None:
    row = sample(0, [-1.0, -2.0], 0)
    row["arguments"] = [["The cup, because the cup", " was big"], ["The cup, because the bag", " was big"]]
    ((_, instance, *_),), _ = read(tmp_path, row)
    assert instance.prompt == "The cup, because the "
    assert instance.continuations == ("cup was big", "bag was big")


@pytest.mark.parametrize("value", ["nan", "NaN"])
def test_a_likelihood_that_is_none_gives_no_prediction(tmp_path: Path, cache: Path, value: str) -> None:
    rows = xcopa_samples("it")
    rows[0]["resps"][0] = [[value, "False"]]
    write_logs(tmp_path / "logs", {"xcopa_it": rows})
    assert "3 of 4 items are sound" in import_logs(tmp_path / "logs", cache).left_out[0]
    found = tables.instances(only(cache), "it")
    assert found["prediction"].isna().tolist() == found["correct"].isna().tolist() == [True, False, False, False]
    assert np.isnan(accuracy.logliks(only(cache), "it")[0, 0])
