"""From a request to a run: every mistake is told in one sentence before anything is lost."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import byte_tokenizer, tiny_llama
from fault import ENVIRONMENT, ROOT, edit, request_for, said, temporaries, write_belebele, write_xcopa
from torch import nn

from crossalign import chunks, computation, description, pipeline, tables
from crossalign.__main__ import main
from crossalign.forward import kernels
from crossalign.planning import plan
from crossalign.run_tables import read_tables


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six instances in English, Italian and Swahili, to be spoiled."""
    return write_xcopa(tmp_path / "data", 6)


@pytest.fixture
def fails(tiny_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Runs a command that must end with status 2 and one sentence, which is returned; nothing half is left behind."""

    def run(*arguments: object, model: Path | str = tiny_folder, task: str = "xcopa", place: Path = data) -> str:
        command = ["run", "--model", str(model), "--task", task, "--data", str(place), "--cache", str(tmp_path / "c")]
        assert main([*command, "--device", "cpu", "--json", *(str(a) for a in arguments)]) == 2
        assert temporaries(tmp_path) == []
        return said(capsys)

    return run


# --- what is asked for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--languages", "swahilli"], "nearest: sw"),
        (["--languages", "it,turkisch"], "nearest: tr"),
        (["--languages", "qqq"], "qqq"),
        (["--pivot", "xx"], "xx"),
        (["--protocol", "letters"], "options, harness"),
        (["--pooling", "max"], "last_token, weighted_mean, mean"),
        (["--pooling", ","], "last_token, weighted_mean, mean"),
        (["--shots", "-1"], "--shots -1"),
        (["--shots", "6"], "only 5 examples"),
        (["--batch-tokens", "0"], "--batch-tokens 0"),
        (["--device", "cuda:7"], "cuda:7"),
        (["--device", "nonsense"], "nonsense"),
        (["--device", "cuda:x"], "cuda:x"),
        (["--device", "autocuda"], "autocuda"),
        (["--estimate", "--device", "cuda:7"], "cuda:7"),
        (["--estimate", "--device", "nonsense"], "nonsense"),
    ],
)
def test_a_request_that_cannot_be_done_is_told(fails: Callable, arguments: list[str], words: str) -> None:
    assert words in fails(*arguments)


def test_an_unknown_task_is_told_with_the_tasks_there_are(fails: Callable) -> None:
    text = fails(task="xnli")
    assert all(name in text for name in ("xnli", "xcopa", "xstorycloze", "belebele", "flores"))


def test_shots_have_no_meaning_for_plain_sentences(fails: Callable, tmp_path: Path) -> None:
    (tmp_path / "eng_Latn.devtest").write_text("One.\nTwo.\n")
    assert "--shots" in fails("--shots", 1, task="flores", place=tmp_path)


def test_as_many_belebele_shots_as_rows_leave_nothing_to_evaluate(fails: Callable, tmp_path: Path) -> None:
    place = write_belebele(tmp_path / "belebele", [(0, 1), (1, 1)])
    for shots in (2, 3):
        assert "--shots" in fails("--shots", shots, task="belebele", place=place)


@pytest.mark.parametrize("model", ["no/such-model", "no-such-model", "", "../nowhere", "a b/c:d", "hf://x"])
def test_a_model_that_is_nowhere_is_told(fails: Callable, model: str) -> None:
    assert "folder" in fails(model=model)


def spoil_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:2000])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda f: (f / "model.safetensors").unlink(),
        spoil_weights,
        lambda f: (f / "model.safetensors").write_bytes(b""),
        lambda f: (f / "config.json").write_text("{"),
        lambda f: (f / "config.json").unlink(),
        lambda f: [p.unlink() for p in f.glob("token*")],
        lambda f: (f / "tokenizer.json").write_text("[]"),
    ],
    ids=["no weights", "half the weights", "empty weights", "bad config", "no config", "no tokenizer", "bad tokenizer"],
)
def test_a_model_folder_that_lacks_something_is_told(
    fails: Callable, tiny_folder: Path, tmp_path: Path, spoil: Callable
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    spoil(folder)
    assert str(folder) in fails(model=folder)


# --- the data ----------------------------------------------------------------------------------------------------


def test_a_data_folder_that_is_absent_or_lacks_a_language_is_told(fails: Callable, data: Path) -> None:
    assert str(data / "none") in fails(place=data / "none")
    shutil.rmtree(data / "xcopa" / "it")
    assert "test.it.jsonl" in fails("--languages", "it")
    (data / "copa_en" / "test.en.jsonl").write_text("\n\n")
    assert "empty" in fails()


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"premise": "  "}, ["instance '3'", "empty"]),
        ({"choice2": ""}, ["instance '3'", "empty"]),
        ({"idx": 2}, ["'2'", "twice"]),
        ({"label": 2}, ["instance '3'", "gold 2"]),
        ({"label": -2}, ["instance '3'", "gold -2"]),
        ({"premise": "half a \ud83d pair."}, ["3"]),
        (b'{"premise": "cut', ["line 4"]),
        (b"[1, 2]", ["line 4"]),
        (b"[" * 100_000, ["line 4"]),
        (b'{"idx": ' + b"1" * 5000 + b"}", ["line 4"]),
        (b'{"premise": "\xff"}', ["line 4", "UTF-8"]),
    ],
    ids=[
        "no premise",
        "no option",
        "id twice",
        "gold 2",
        "gold -2",
        "surrogate",
        "cut",
        "list",
        "deep",
        "long",
        "bytes",
    ],
)
def test_a_bad_row_is_told_with_its_place(
    fails: Callable, data: Path, language: str, change: dict | bytes, words: list[str]
) -> None:
    path = edit(data, language, 3, change)
    text = fails("--languages", "it")
    assert all(word in text for word in words), text
    if isinstance(change, bytes):
        assert str(path) in text


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize("name", ["premise", "choice1", "choice2", "question", "label", "idx"])
def test_a_row_that_lacks_a_field_is_told_with_its_place(fails: Callable, data: Path, language: str, name: str) -> None:
    edit(data, language, 3, {name: ...})
    text = fails("--languages", "it")
    assert name in text and language in text and "row 4" in text


FIELDS = {
    "xcopa": ("premise", "choice1", "question", "label", "idx"),
    "belebele": ("link", "question_number", "flores_passage", "question", "mc_answer1", "correct_answer_num"),
}


def report_wrong_types(folder: Path) -> None:
    """Prints every wrong value in a row that does not end in a UserError; run where types are not checked."""
    from crossalign import tasks
    from crossalign.schema import UserError, content_digest

    for name, fields in FIELDS.items():
        task = tasks.TASKS[name]
        for field, value in ((f, v) for f in fields for v in (None, [], {}, 1.5, "x", True, float("nan"))):
            place = folder / f"{name}-{field}-{type(value).__name__}"
            write_xcopa(place, 4) if name == "xcopa" else write_belebele(place, [(0, 1), (1, 1)])
            codes = ("en", "it") if name == "xcopa" else ("eng_Latn", "swh_Latn")
            for code in codes:
                edit(place, code, 1, {field: value})
            try:
                read, end = tasks.reader(task, place), (task.protocols[0], "repaired")
                pivot = tasks.load_pivot(task, read, codes[0], *end, None, 0)
                content_digest(pivot.instances)
                found = tasks.load_language(task, read, codes[1], pivot, *end, 0).instances
                if not all(isinstance(i.gold, int) for i in found) or (name, field) == ("xcopa", "question"):
                    print(f"{name}.{field} = {value!r} is taken as if it were right")
            except UserError:
                continue
            except Exception as error:
                print(f"{name}.{field} = {value!r} ends in {type(error).__name__}: {str(error)[:60]}")


def test_values_of_a_wrong_type_are_told_outside_the_tests_too(tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, 'tests'); import test_pipeline as t; t.report_wrong_types(t.Path({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.returncode, done.stdout.splitlines()) == (0, []), done.stdout + done.stderr


@pytest.mark.parametrize(("language", "words"), [("en", "1 more"), ("it", "lacks 1")])
def test_languages_with_different_instances_are_told(fails: Callable, data: Path, language: str, words: str) -> None:
    edit(data, language, 3, b"")
    text = fails("--languages", "it")
    assert words in text and "'3'" in text


def test_lines_of_windows_and_a_byte_order_mark_are_read(tiny_folder: Path, data: Path, tmp_path: Path) -> None:
    for path in data.rglob("test.*"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert pipeline.run(request_for(tiny_folder, data, tmp_path / "c")).languages() == ["en", "it", "sw"]


@pytest.mark.parametrize("field", ["choice1", "premise"])
def test_a_text_that_tokenises_to_nothing_is_told(fails: Callable, data: Path, tmp_path: Path, field: str) -> None:
    from tokenizers import normalizers, processors

    tokenizer = byte_tokenizer()
    inner = tokenizer.backend_tokenizer
    inner.normalizer = normalizers.Sequence([normalizers.Replace("§", ""), normalizers.Strip(left=False, right=True)])
    inner.post_processor = processors.TemplateProcessing(single="$A")
    tiny_llama().save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    edit(data, "it", 4, {field: "§"})
    assert "'4'" in fails("--languages", "it", model=tmp_path / "model")


# --- what may be asked for ---------------------------------------------------------------------------------------


def test_a_language_may_be_given_by_its_name_or_another_code(tiny_folder: Path, data: Path, tmp_path: Path) -> None:
    names = ("swa", "Italian", "sw", "swh_Latn", "English")
    run = pipeline.run(request_for(tiny_folder, data, tmp_path / "c", languages=names))
    assert run.languages() == ["en", "it", "sw"]


@pytest.mark.parametrize("changes", [{"pivot": "it"}, {"shots": 2}, {"limit": 3}, {"protocol": "harness"}], ids=str)
def test_other_choices_give_other_runs_that_are_complete(
    tiny_folder: Path, data: Path, tmp_path: Path, changes: dict
) -> None:
    plain = pipeline.run(request_for(tiny_folder, data, tmp_path / "c"))
    other = pipeline.run(request_for(tiny_folder, data, tmp_path / "c", **changes))
    assert other.run_id != plain.run_id
    assert sorted(other.languages()) == (["it", "sw"] if "pivot" in changes else ["en", "it", "sw"])
    assert other.facts["n"] == changes.get("limit", 6)
    assert tables.languages(other)["accuracy"].notna().all()


def test_changed_texts_of_a_language_are_told_and_of_the_pivot_are_another_run(
    fails: Callable, tiny_folder: Path, data: Path, tmp_path: Path
) -> None:
    first = pipeline.run(request_for(tiny_folder, data, tmp_path / "c"))
    edit(data, "it", 2, {"premise": "Another text."})
    text = fails("--languages", "it")
    assert "it have changed" in text and str(first.part_folder("it")) in text
    edit(data, "en", 2, {"premise": "Another text."})
    assert pipeline.run(request_for(tiny_folder, data, tmp_path / "c")).run_id != first.run_id


def test_the_command_of_a_run_finds_the_local_data_it_was_computed_from(
    tiny_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    cache = tmp_path / "c"
    run = pipeline.run(request_for(tiny_folder, data, cache))
    words = shlex.split(description.command(read_tables(run)))[1:]
    assert main([*words, "--cache", str(cache), "--json"]) == 0
    assert f"{run.run_id} is complete" in capsys.readouterr().err
    moved = pipeline.prepare(request_for(tiny_folder, data.rename(tmp_path / "moved"), cache))
    assert moved.run_id == run.run_id, "where the data lie is no part of what a run is"


def test_flores_takes_a_hundred_sentences_unless_told(tiny_folder: Path, tmp_path: Path) -> None:
    for code in ("eng_Latn", "swh_Latn"):
        (tmp_path / f"{code}.devtest").write_text("".join(f"Sentence {i} of {code}.\n" for i in range(104)))
    runs = [
        request_for(tiny_folder, tmp_path, tmp_path / "c", task="flores", languages=(), limit=n) for n in (None, 0, 7)
    ]
    assert [pipeline.run(r).manifest("swh_Latn").n for r in runs] == [100, 104, 7]


def test_a_pass_whose_states_are_no_numbers_does_not_agree() -> None:
    from crossalign.forward.agreement import difference
    from crossalign.forward.encoding import Encoded

    fine, broken = np.ones((4, 3, 8), np.float32), np.ones((4, 3, 8), np.float32)
    broken[2, 1] = np.nan
    expected, got = (Encoded({"mean": s}, np.zeros(2), (0, 0)) for s in (fine, broken))
    assert difference(expected, expected).within("float32")
    assert not difference(got, expected).within("float32")


def test_processes_with_other_batches_keep_their_chunks_apart(
    tiny_folder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BATCHES", 1)
    request = request_for(tiny_folder, data, tmp_path / "cache")
    run = pipeline.prepare(request)
    small, large = (
        computation.Computation(run, plan(replace(request, batch_tokens=size))).states("it") for size in (64, 4000)
    )
    assert small.scratch.small("logliks").shape == large.scratch.small("logliks").shape == (6, 2)
    assert len(small.scratch._chunks) > len(large.scratch._chunks)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
def test_prepacked_layers_leave_the_head_alone(
    tiny_folder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "WORTH", 0.0)
    request = request_for(tiny_folder, data, tmp_path / "cache")
    model = computation.Computation(pipeline.prepare(request), plan(request)).encoder.model
    assert not [m for m in model.decoder.modules() if type(m) is nn.Linear]
    assert type(model.model.get_output_embeddings()) is nn.Linear
