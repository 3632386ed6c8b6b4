"""Translation runs as tables, joined with alignment and scores made elsewhere, and on the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import fault
import pytest
from conftest import byte_tokenizer, tiny_llama
from fault import said, stamps
from flores_data import PARTS, N, alignment_run, edit_line, translation_request, translation_run, write_flores

from crossalign import pipeline, tables
from crossalign.__main__ import main
from crossalign.planning import RunRequest
from crossalign.schema import UserError
from crossalign.store import parts, runs
from crossalign.translation import scores as translation_scores
from crossalign.translation import tables as translation_tables
from crossalign.translation.planning import TranslationRequest


@pytest.fixture(scope="module")
def request_of(tiny_folder: Path, flores_data: Path) -> Callable[..., TranslationRequest]:
    """(cache, changes) → a request for all parts."""
    return lambda cache, **changes: translation_request(tiny_folder, changes.pop("data", flores_data), cache, **changes)


@pytest.fixture
def cache(translated: Path, tmp_path: Path) -> Path:
    """A copy of the cache with both runs, to change."""
    return shutil.copytree(translated, tmp_path / "cache")


# --- tables ------------------------------------------------------------------------------------------------------


def test_tables_have_the_declared_columns_and_join_with_alignment(cache: Path) -> None:
    one, alignment = translation_run(cache), alignment_run(cache)
    assert translation_tables.matching_alignment(cache, one).run_id == alignment.run_id
    directions = translation_tables.directions(one, alignment)
    assert list(directions.columns) == list(translation_tables.COLUMNS["directions"])
    assert directions["direction"].tolist() == ["en-xx", "en-xx", "xx-en", "xx-en"]
    best = tables.best_layers(tables.rates(alignment)).query("pooling == 'last_token' and metric == 'mexa'")
    assert directions["mexa_max"].tolist() == best["rate"].tolist() * 2
    long = translation_tables.sentence_alignment(one, "spa_Latn-eng_Latn", alignment, "weighted_mean")
    assert list(long.columns) == list(translation_tables.COLUMNS["sentence_alignment"])
    theirs = tables.instance_alignment(alignment, "spa_Latn").query("pooling == 'weighted_mean'")
    assert long["margin"].tolist() == theirs["margin"].tolist() and len(long) == N * 4
    related = translation_tables.correlations(directions)
    assert set(related["n"]) <= {0, 2} and related["r"].isna().all(), "two languages make no correlation"


def test_the_alignment_of_another_model_is_not_joined(cache: Path, tmp_path: Path, flores_data: Path) -> None:
    other = tmp_path / "other"
    tiny_llama(seed=1).save_pretrained(other)
    byte_tokenizer().save_pretrained(other)
    shutil.rmtree(alignment_run(cache).folder)
    pipeline.run(RunRequest(str(other), "flores", data=flores_data, device="cpu", cache=cache))
    assert translation_tables.matching_alignment(cache, translation_run(cache)) is None
    frame = translation_tables.directions(translation_run(cache))
    assert frame["mexa_max"].isna().all() and frame["chrf"].notna().all()


def test_the_alignment_of_other_sentences_is_not_joined(cache: Path, tmp_path: Path, tiny_folder: Path) -> None:
    """Line 7 of another folder is another sentence, although the task, the model and the id are the same."""
    first = alignment_run(cache)
    data = write_flores(tmp_path / "other")
    for code in ("eng_Latn", "spa_Latn", "rus_Cyrl"):
        edit_line(data, code, 0, None)
    pipeline.run(RunRequest(str(tiny_folder), "flores", data=data, device="cpu", cache=cache))
    assert translation_tables.matching_alignments(cache, translation_run(cache)) == [first]


def test_two_runs_are_compared_on_the_same_sentences(request_of: Callable, cache: Path) -> None:
    first = translation_run(cache)
    second = pipeline.run(request_of(cache, shots=1))
    frame = translation_tables.comparison(first, second)
    assert len(frame) == len(PARTS) * 2 and set(frame["n"]) == {N}
    mine, theirs = (translation_tables.directions(one).set_index("part")["chrf"] for one in (first, second))
    chrf = frame[frame["metric"] == "chrf"].set_index("part")["difference"]
    assert chrf[PARTS].to_numpy() == pytest.approx((theirs - mine)[PARTS].to_numpy(), abs=1e-9)


# --- scores made elsewhere ---------------------------------------------------------------------------------------


def comet_file(path: Path, one: runs.Run, **changes: object) -> Path:
    scores = {part: [round(0.5 + i / 100, 2) for i in range(N)] for part in one.languages()}
    path.write_text(json.dumps({"comet": {"model": "m", "scores": scores} | changes}), encoding="utf-8")
    return path


def test_scores_are_imported_and_nothing_else_changes(cache: Path, tmp_path: Path) -> None:
    one = translation_run(cache)
    before = translation_tables.translations(one, PARTS[0])
    inputs = translation_scores.write_inputs(one, tmp_path / "comet")
    digests = {path.stem: translation_scores.checksum(path) for path in inputs}
    assert json.loads(inputs[0].read_text())[2] == {
        "src": before["source"][2], "mt": before["output"][2], "ref": before["reference"][2],
    }  # fmt: skip
    file = comet_file(tmp_path / "s.json", one, inputs=digests)
    assert translation_scores.import_scores(one, file) == {"comet": PARTS}
    after = translation_tables.translations(one, PARTS[0])
    assert after["comet"].tolist() == [round(0.5 + i / 100, 2) for i in range(N)] and after["cometkiwi"].isna().all()
    assert after.drop(columns="comet").equals(before.drop(columns="comet")) and parts.verify(one) == []
    assert translation_tables.directions(one)["comet"].tolist() == pytest.approx([0.555] * 4)
    assert one.manifest(PARTS[0]).provenance["external"]["comet"]["model"] == "m"
    published = {"spanish": {"scores": [0.25] * N}, "klingon": {"scores": [1]}}
    (tmp_path / "p.json").write_text(json.dumps(published))
    added = translation_scores.import_scores(one, tmp_path / "p.json", "cometkiwi", "xx-en")
    assert added == {"cometkiwi": ["spa_Latn-eng_Latn"]}
    both = translation_tables.translations(one, "spa_Latn-eng_Latn")
    assert both["cometkiwi"].tolist() == [0.25] * N and both["comet"].notna().all()


BAD_SCORES = {
    "[]": "holds no scores",
    "{": "not valid JSON",
    '{"comet": {"scores": {"a-b": [1]}}}': "has no scores for the parts",
    '{"comet": [1]}': "no `scores` by part",
    '{"comet": {"scores": {"eng_Latn-spa_Latn": [1, 2]}}}': "2 scores for 12 sentences",
    '{"comet": {"scores": {"eng_Latn-spa_Latn": [1,1,1,1,1,1,1,1,1,1,1,NaN]}}}': "score 12 is NaN",
    '{"comet": {"scores": {"eng_Latn-spa_Latn": "x"}, "inputs": {"eng_Latn-spa_Latn": "0"}}}': "other translations",
    '{"spanish": {"scores": [1]}}': "say which with --metric",
}


@pytest.mark.parametrize("text", BAD_SCORES)
def test_scores_that_do_not_fit_change_nothing(cache: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    before = stamps(cache)
    with pytest.raises(UserError, match=BAD_SCORES[text]):
        translation_scores.import_scores(translation_run(cache), tmp_path / "bad.json")
    assert stamps(cache) == before


def test_the_recipe_for_comet_makes_a_file_that_is_read(cache: Path, tmp_path: Path) -> None:
    """With a stand-in for COMET, which cannot be installed beside this project."""
    (tmp_path / "comet.py").write_text(
        "from types import SimpleNamespace\n"
        "download_model = lambda name: name\n"
        "class Model:\n"
        "    def predict(self, rows, batch_size, gpus):\n"
        "        return SimpleNamespace(scores=[len(r['mt']) / 100 for r in rows])\n"
        "load_from_checkpoint = lambda path: Model()\n"
    )
    one = translation_run(cache)
    translation_scores.write_inputs(one, tmp_path / "in")
    script = Path(__file__).parents[1] / "benchmarks" / "score_with_comet.py"
    command = [sys.executable, str(script), str(tmp_path / "in"), "--out", str(tmp_path / "s.json")]
    subprocess.run(command, check=True, env={"PYTHONPATH": str(tmp_path)}, capture_output=True)
    added = translation_scores.import_scores(one, tmp_path / "s.json")
    assert added == {"comet": PARTS, "cometkiwi": PARTS}
    frame = translation_tables.translations(one, PARTS[2])
    assert frame["comet"].tolist() == pytest.approx([len(o) / 100 for o in frame["output"]])


# --- the command line --------------------------------------------------------------------------------------------


def test_the_commands_know_both_kinds_of_run(cache: Path, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    one, where = translation_run(cache), ["--cache", str(cache)]
    assert main(["list", *where, "--json"]) == 0
    listed = {row["run_id"]: row for row in json.loads(capsys.readouterr().out)["runs"]}
    assert listed[one.run_id]["kind"] == "translation" and listed[one.run_id]["complete"]
    assert main(["summary", one.run_id, *where, "--against", one.run_id, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["alignment_run"] == alignment_run(cache).run_id and len(value["directions"]) == 4
    assert {r["difference"] for r in value["comparison"]} == {0}
    for extra in ([], ["--against", one.run_id]):
        assert main(["summary", one.run_id, *where, *extra]) == 0
        assert "chrF++" in capsys.readouterr().out
    for extra in (["--pooling", "last_token"], ["--scores", "x"]):
        assert main(["summary", one.run_id, *where, *extra]) == 2
        assert "is a translation run" in said(capsys)
    assert main(["verify", *where]) == 0 and "2 runs checked" in capsys.readouterr().out
    assert main(["export", one.run_id, *where, "--out", str(tmp_path / "out")]) == 0
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"directions.csv", "translations.parquet", "sentence_alignment.csv", "columns.json", "comet"} <= names
    assert main(["scores", alignment_run(cache).run_id, "x.json", *where]) == 2
    assert "no translation run" in said(capsys)
    assert main(["scores", one.run_id, str(tmp_path / "x.json"), *where]) == 2
    assert "no file" in said(capsys)


def test_translate_from_the_command_line(
    tiny_folder: Path, flores_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    fixed = f"translate --model {tiny_folder} --data {flores_data} --languages spa_Latn --device cpu --length-ratio 0.1"
    assert main([*fixed.split(), "--cache", str(tmp_path), "--json"]) == 0
    printed = capsys.readouterr()
    value = json.loads(printed.out)
    assert value["complete"] and [d["part"] for d in value["directions"]] == ["eng_Latn-spa_Latn", "spa_Latn-eng_Latn"]
    assert [e["name"] for e in fault.events_in(printed.err) if e["event"] == "stage"] == [
        "eng_Latn-spa_Latn",
        "spa_Latn-eng_Latn",
    ]
    assert main([*fixed.split(), "--cache", str(tmp_path), "--shots", "-1"]) == 2
    assert "--shots -1" in said(capsys)
    assert main([*fixed.split(), "--cache", str(tmp_path), "--limit", "1"]) == 0
    assert "nan" not in capsys.readouterr().out, "one sentence has a score and no interval"


@pytest.mark.shared
def test_real_sentences_end_to_end(
    tiny_folder: Path, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    fixed = f"--model {tiny_folder} --data {shared_data} --languages swh_Latn,tha_Thai,arb_Arab --limit 6 --device cpu"
    where = ["--cache", str(tmp_path), "--json"]
    more = ["--task", "flores", "--shots", "1", "--shots-from", "test", "--length-ratio", "0.2"]
    assert main(["translate", *fixed.split(), *more, *where]) == 0
    value = json.loads(capsys.readouterr().out)
    assert [d["n"] for d in value["directions"]] == [6] * 6
    assert all(d["references_off_target"] == 0 for d in value["directions"])
    assert main(["run", *fixed.split(), "--task", "flores", *where]) == 0
    capsys.readouterr()
    one = translation_run(tmp_path)
    beside = translation_tables.sentence_alignment(one, "eng_Latn-tha_Thai", alignment_run(tmp_path)).query(
        "layer == 1"
    )
    known = beside.dropna(subset="margin")
    assert len(known) == 5, "the first sentence is the example, the seventh is beyond the limit"
