"""What a run would cost is what it then takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossalign.__main__ import main
from crossalign.cost import cost
from crossalign.pipeline import run
from crossalign.planning import RunRequest
from crossalign.schema import UserError


def test_tokens_and_disk_are_those_of_the_run(tiny_folder: Path, xcopa_data: Path, tmp_path: Path) -> None:
    request = RunRequest(
        str(tiny_folder), "xcopa", ("it", "sw"), data=xcopa_data, device="cpu", keep_states="float32", cache=tmp_path
    )
    found = cost(request)
    assert (found.languages, found.instances, found.texts) == (3, 12, 3 * 12 * 3)
    assert not list(tmp_path.glob("xcopa_*")), "nothing is computed"
    done = run(request)
    counts = [done.manifest(code).counts for code in ("en", "it", "sw")]
    assert found.tokens_run == sum(c["tokens_with_padding"] for c in counts)
    assert found.tokens == sum(c["tokens_of_separate_texts"] for c in counts)
    taken = sum(p.stat().st_size for p in done.folder.rglob("*") if p.is_file())
    assert found.disk == pytest.approx(taken, rel=0.25)
    assert found.parameters == done.facts["parameters"] and found.seconds > 0
    assert found.memory > found.parameters * 4 and found.disk_free > 0


def test_examples_that_all_prompts_share_are_run_once(tiny_folder: Path, xcopa_data: Path, tmp_path: Path) -> None:
    request = RunRequest(str(tiny_folder), "xcopa", ("it",), data=xcopa_data, device="cpu", shots=3, cache=tmp_path)
    found, done = cost(request), run(request)
    counts = [done.manifest(code).counts for code in ("en", "it")]
    assert found.tokens_run == pytest.approx(sum(c["tokens_with_padding"] for c in counts), rel=0.02)


def test_a_part_of_the_texts_stands_for_all(
    tiny_folder: Path, xcopa_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = RunRequest(str(tiny_folder), "xcopa", data=xcopa_data, device="cpu", cache=tmp_path)
    exact = cost(request)
    monkeypatch.setattr("crossalign.cost.COUNTED_LANGUAGES", 2)
    monkeypatch.setattr("crossalign.cost.COUNTED_INSTANCES", 4)
    sampled = cost(request)
    assert "4 instances in 2 of 3 languages" in sampled.how and "all texts" in exact.how
    assert sampled.tokens == pytest.approx(exact.tokens, rel=0.1)
    assert sampled.texts == exact.texts


def test_the_command_line_says_it(
    tiny_folder: Path, xcopa_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command = ["run", "--model", str(tiny_folder), "--task", "xcopa", "--data", str(xcopa_data), "--device", "cpu"]
    command += ["--estimate", "--cache", str(tmp_path / "not" / "there")]
    assert main([*command, "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["languages"] == 3
    assert json.loads(printed.err.splitlines()[-1]) | {"time": 0} == {"event": "end", "ok": True, "text": "", "time": 0}
    assert main(command) == 0
    assert "Tokens to run:" in capsys.readouterr().out


def test_what_the_run_refuses_is_refused_before(xcopa_data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no weights"):
        cost(RunRequest(str(tmp_path), "xcopa", data=xcopa_data, device="cpu", cache=tmp_path))


def test_of_a_model_that_takes_no_trees_texts_are_counted_one_by_one(
    tiny_folder: Path, xcopa_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = RunRequest(str(tiny_folder), "xcopa", ("it",), data=xcopa_data, device="cpu", cache=tmp_path)
    trees = cost(request)
    monkeypatch.setattr("crossalign.models._takes_trees", lambda model, config: False)
    found, done = cost(request), run(request)
    counts = [done.manifest(code).counts for code in ("en", "it")]
    assert found.tokens_run == sum(c["tokens_with_padding"] for c in counts) > trees.tokens_run
    assert "text by text" in found.how and "as token trees" in trees.how
