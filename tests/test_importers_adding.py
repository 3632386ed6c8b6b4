"""Accuracy from logs added to a computed run: only for the same model, task and items, and beside the run's own."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fault import flip, request_for, write_xcopa
from foreign import append, rewrite, sample, write_logs

from crossalign import accuracy, pipeline, tables
from crossalign.__main__ import main
from crossalign.importers.lm_eval import import_logs
from crossalign.schema import UserError
from crossalign.store.locks import lock
from crossalign.store.parts import verify
from crossalign.store.runs import Run, find_run
from crossalign.store.scorings import scorings

N = 6


@pytest.fixture(scope="module")
def computed(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with XCOPA in English, Italian and Swahili by the tiny model."""
    folder = tmp_path_factory.mktemp("adding")
    pipeline.run(request_for(tiny_folder, write_xcopa(folder / "data", N), folder / "cache"))
    return folder / "cache"


@pytest.fixture
def run(computed: Path, tmp_path: Path) -> Run:
    cache = shutil.copytree(computed, tmp_path / "cache")
    return find_run(cache, "xcopa")


def rows_of(code: str, right: Sequence[bool], first: int = 0) -> list[dict]:
    """A log over the run's items in which these are right."""
    from conftest import xcopa_row

    rows = [xcopa_row(code, first + i) for i in range(len(right))]
    scores = [
        (-1.0, -2.0) if (row["label"] == 0) == good else (-2.0, -1.0) for row, good in zip(rows, right, strict=True)
    ]
    return [sample(i, s, row["label"], row) for i, (row, s) in enumerate(zip(rows, scores, strict=True))]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Italian with 4 of 6 right, in another order than the run's, and Thai, which the run does not have."""
    tasks = {"xcopa_it": rows_of("it", [True] * 4 + [False] * 2)[::-1], "xcopa_th": rows_of("th", [True] * N)}
    return write_logs(tmp_path / "logs", tasks, model="/somewhere/tiny-llama", commit="", shots=5).parent


def add(run: Run, logs: Path) -> list[str]:
    return import_logs(logs, run.folder.parent, run.run_id).notes


def test_added_scores_stand_beside_the_runs_own(run: Run, logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tables.languages(run), tables.instances(run, "it"), tables.rates(run)
    notes = add(run, logs)
    (added,) = scorings(run)
    assert added.languages == ("it",) and "th" in notes[0] and verify(run) == []
    assert added.provenance["model_agrees_by"] == "name" and added.provenance["shots"] == 5
    shown = tables.languages(run, added.name).set_index("language")
    assert shown["accuracy"].tolist()[:2] == pytest.approx([float("nan"), 4 / 6], nan_ok=True)
    rows = tables.instances(run, "it", added.name).set_index("instance_id")
    assert rows.loc[["0", "3", "4", "5"], "correct"].tolist() == [True, True, False, False]
    for old, new in zip(before, (tables.languages(run), tables.instances(run, "it"), tables.rates(run)), strict=True):
        assert old.equals(new)
    cache = ["--cache", str(run.folder.parent)]
    assert main(["summary", run.run_id, "--json", "--scores", added.name, *cache]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["added_scores"] == [added.name] and summary["scores"] == added.name
    assert [r["accuracy"] for r in summary["languages"]] == [None, pytest.approx(4 / 6), None]
    assert main(["summary", run.run_id, *cache]) == 0 and added.name in capsys.readouterr().out
    assert main(["summary", run.run_id, "--scores", "../evil", *cache]) == 2
    assert accuracy.logliks(run, "sw", added.name) is None


def test_adding_twice_changes_nothing(run: Run, logs: Path) -> None:
    add(run, logs)
    before = [(s.name, s.checksums) for s in scorings(run)]
    assert import_logs(logs, run.folder.parent, run.run_id).unchanged and add(run, logs) == []
    assert [(s.name, s.checksums) for s in scorings(run)] == before


def test_two_that_add_at_once_do_it_one_after_the_other(run: Run, logs: Path) -> None:
    """A second one that came meanwhile would take the first one's unfinished folder for that of a killed process."""
    with ThreadPoolExecutor(2) as pool, lock(run.folder / ".scores.lock"):
        both = [pool.submit(import_logs, logs, run.folder.parent, run.run_id) for _ in range(2)]
        time.sleep(0.3)
        assert not any(one.done() for one in both) and not (run.folder / "scores").exists()
    assert sorted(len(one.result().unchanged) for one in both) == [0, 1]
    assert [s.languages for s in scorings(run)] == [("it",)] and verify(run) == []


def test_few_and_many_shots_are_scores_of_their_own(run: Run, logs: Path) -> None:
    write_logs(logs / "zero", {"xcopa_it": rows_of("it", [True] * N)}, model="tiny-llama", commit="", shots=0)
    add(run, logs)
    names = [s.name for s in scorings(run)]
    assert [n.split("_")[1] for n in names] == ["0-shot", "5-shot"]
    found = [tables.languages(run, n).set_index("language").loc["it", "accuracy"] for n in names]
    assert found == [1.0, pytest.approx(4 / 6)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda r: r[:-1], "lacks 1 of the 6 items"),
        (lambda r: [*r[1:], r[0] | {"doc": r[0]["doc"] | {"label": 1 - r[0]["doc"]["label"]}}], "lacks 1 of the 6"),
        (lambda r: [r[0] | {"doc": r[0]["doc"] | {"premise": "Another."}}, *r[1:]], "has another premise"),
        (lambda r: [r[0] | {"doc": r[0]["doc"] | {"choice2": "Another."}}, *r[1:]], "has another options"),
        (
            lambda r: [
                r[0] | {"target": str(1 - int(r[0]["target"])), "doc": r[0]["doc"] | {"label": 1 - r[0]["doc"]["label"]}},
                *r[1:],
            ],
            "has another gold option",
        ),
        (lambda r: [x | {"doc": {"other": "schema"}} for x in r], "has another"),
    ],
    ids=["missing", "contradiction", "premise", "options", "gold", "schema"],
)  # fmt: skip
def test_items_that_do_not_agree_are_refused_in_one_sentence(
    run: Run, tmp_path: Path, change: object, told: str
) -> None:
    rows = change(rows_of("it", [True] * N))
    write_logs(tmp_path / "logs", {"xcopa_it": rows}, model="tiny-llama", commit="")
    with pytest.raises(UserError, match=told) as error:
        add(run, tmp_path / "logs")
    assert "nothing was added" in str(error.value) and "samples_xcopa_it" in str(error.value)
    assert scorings(run) == [] and not list((run.folder / "scores").iterdir())


def test_nothing_is_added_when_one_of_two_evaluations_does_not_agree(run: Run, logs: Path) -> None:
    write_logs(logs / "zero", {"xcopa_it": rows_of("it", [True] * 3)}, model="tiny-llama", commit="", shots=0)
    with pytest.raises(UserError, match="lacks 3"):
        add(run, logs)
    assert scorings(run) == []


def test_more_items_than_the_run_has_are_no_obstacle(run: Run, tmp_path: Path) -> None:
    write_logs(tmp_path / "logs", {"xcopa_it": rows_of("it", [True] * 9)}, model="tiny-llama", commit="")
    add(run, tmp_path / "logs")
    assert tables.languages(run, scorings(run)[0].name).set_index("language").loc["it", "n"] == N


def test_another_model_or_task_is_refused(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, task in (("org/other", "xcopa_it"), ("tiny-llama", "xstorycloze_es")):
        folder = tmp_path / name.replace("/", "_")
        write_logs(folder, {task: rows_of("it", [True] * N)}, model=name, commit="")
        arguments = ["import", "lm-eval", str(folder), "--run", run.run_id, "--cache", str(run.folder.parent)]
        assert main(arguments) == 2
        told = capsys.readouterr().err
        assert "nothing was added" in told and name in told and "tiny-llama on xcopa" in told
    assert scorings(run) == []


def test_two_commits_are_two_models(run: Run, logs: Path) -> None:
    rewrite(run.folder / "run.json", lambda r: r | {"spec": r["spec"] | {"model_identity": "commit:" + "a" * 40}})
    moved = find_run(run.folder.parent, run.folder.name)
    rewrite(next(logs.glob("results_*")), lambda r: r | {"config": r["config"] | {"model_sha": "b" * 40}})
    with pytest.raises(UserError, match="nothing was added"):
        import_logs(logs, run.folder.parent, run.folder.name)
    rewrite(next(logs.glob("results_*")), lambda r: r | {"config": r["config"] | {"model_sha": "a" * 40}})
    import_logs(logs, run.folder.parent, run.folder.name)
    assert scorings(moved)[0].provenance["model_agrees_by"] == "commit"


def test_damage_to_added_scores_is_found(run: Run, logs: Path) -> None:
    add(run, logs)
    path = next((run.folder / "scores").glob("*/it.parquet"))
    flip(path, 100)
    assert any("has changed since it was written" in problem for problem in verify(run))
    with pytest.raises(UserError, match="import again"):
        tables.languages(run, scorings(run)[0].name)
    path.unlink()
    assert any("is missing" in problem for problem in verify(run))
    append(path.with_name("manifest.json"), "}")
    assert any("damaged" in problem for problem in verify(run))
