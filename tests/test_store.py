"""The cache: run ids, versions, whole parts or none, checksums, damage."""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from fault import flip, mounted, parts_of, request_for, run_folder, said, stamps, temporaries, write_xcopa

from crossalign import models, pipeline, planning
from crossalign.__main__ import main
from crossalign.schema import SCHEMA_VERSION, RunSpec, Translation, UserError
from crossalign.store import files, parts
from crossalign.store.locks import lock
from crossalign.store.scratch import Chunk, Scratch, has_chunk, save_chunk
from crossalign.store.states import write_states

SPEC = RunSpec("models/name-1B", "files:1", "xcopa", "options", "en", "data")
TRANSLATION = Translation("plain", "dev", 3.0, "by-script")


@pytest.fixture(scope="module")
def request_of(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., planning.RunRequest]:
    """A request for the tiny model on 12 instances of English, Italian and Swahili."""
    data = write_xcopa(tmp_path_factory.mktemp("store") / "data", 12)

    return lambda cache, **changes: request_for(tiny_folder, data, cache, **changes)


@pytest.fixture(scope="module")
def pristine(request_of: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with one finished run; copied before it is damaged."""
    cache = tmp_path_factory.mktemp("pristine") / "cache"
    pipeline.run(request_of(cache))
    return cache


@pytest.fixture
def cache(pristine: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(pristine, tmp_path / "cache")


# --- run ids -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [f.name for f in fields(RunSpec) if f.name != "model"])
def test_the_run_id_changes_with_every_field_that_can_change_a_number(name: str) -> None:
    value = getattr(SPEC, name)
    other = value + 1 if isinstance(value, int) else {str: "other", tuple: ("mean",), type(None): 7}[type(value)]
    other = TRANSLATION if name == "translation" else other
    changed = replace(SPEC, **{name: other})
    assert changed.digest != SPEC.digest
    assert changed.run_id != SPEC.run_id


@pytest.mark.parametrize("name", [f.name for f in fields(Translation)])
def test_the_run_id_changes_with_everything_that_is_told_of_a_translation(name: str) -> None:
    other = 7.0 if name == "length_ratio" else "other"
    changed = replace(SPEC, translation=replace(TRANSLATION, **{name: other}))
    assert changed.digest != replace(SPEC, translation=TRANSLATION).digest


@pytest.mark.parametrize("model", ["elsewhere/name-1B", "/abs/name-1B/", "C:\\models\\name-1B"])
def test_the_run_id_does_not_depend_on_how_the_model_is_written(model: str) -> None:
    assert replace(SPEC, model=model).run_id == SPEC.run_id


def test_the_digest_of_a_run_id_does_not_depend_on_the_models_name() -> None:
    renamed = replace(SPEC, model="another/name")
    assert renamed.digest == SPEC.digest
    assert renamed.run_id.rsplit("_", 1)[1] == SPEC.run_id.rsplit("_", 1)[1]


@pytest.mark.parametrize("model", ["../../etc", "..", "", "a b/ü*?", ".hidden", "x" * 400, "a\x00b", "/"])
def test_a_run_id_is_a_safe_folder_name(model: str) -> None:
    run_id = replace(SPEC, model=model).run_id
    assert re.fullmatch(r"xcopa_[A-Za-z0-9][A-Za-z0-9._-]*_[0-9a-f]{12}", run_id)
    assert len(run_id) < 100


def test_the_same_weights_at_another_place_give_the_same_run(
    request_of: Callable, tiny_folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_folder, tmp_path / "elsewhere" / tiny_folder.name)
    ids = [planning.plan(request_of(tmp_path, model=str(m))).spec.run_id for m in (tiny_folder, copy)]
    assert ids[0] == ids[1]


def test_other_weights_under_the_same_name_give_another_run(
    request_of: Callable, tiny_folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_folder, tmp_path / tiny_folder.name)
    weights = copy / "model.safetensors"
    flip(weights, weights.stat().st_size - 1)
    ids = [planning.plan(request_of(tmp_path, model=str(m))).spec.run_id for m in (tiny_folder, copy)]
    assert ids[0] != ids[1]


# --- versions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "advice"), [(SCHEMA_VERSION + 1, "update"), (SCHEMA_VERSION - 1, "compute it again"), (None, "again")]
)
def test_a_run_of_another_schema_is_told_and_the_others_are_still_shown(
    cache: Path, capsys: pytest.CaptureFixture, version: int | None, advice: str
) -> None:
    good = run_folder(cache).name
    other = shutil.copytree(cache / good, cache / "xcopa_other_0123456789ab")
    record = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps(record | {"schema_version": version}))
    assert main(["list", "--cache", str(cache), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [r["run_id"] for r in shown["runs"]] == [good]
    (problem,) = shown["unreadable"]
    assert other.name in problem and advice in problem and str(version) in problem
    assert main(["list", "--cache", str(cache)]) == 0
    assert other.name in capsys.readouterr().out
    assert main(["summary", other.name, "--cache", str(cache)]) == 2
    assert advice in said(capsys)


@pytest.mark.parametrize("spec", ['"x"', "[]", "null", "{}"])
def test_a_damaged_description_is_told_and_the_others_are_still_shown(
    cache: Path, capsys: pytest.CaptureFixture, spec: str
) -> None:
    for name in ("xcopa_other_0123456789ab", "xcopa_other_0123456789ac"):
        (cache / name).mkdir()
    text = f'{{"schema_version": {SCHEMA_VERSION}, "spec": {spec}, "facts": {{}}, "execution": {{}}}}'
    (cache / "xcopa_other_0123456789ab/run.json").write_text(text)
    (cache / "xcopa_other_0123456789ac/run.json").mkdir()
    assert main(["list", "--cache", str(cache), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["runs"]) == 1 and len(shown["unreadable"]) == 2
    assert "lacks a field" in shown["unreadable"][0] and "Cannot read" in shown["unreadable"][1]


def test_a_part_of_another_schema_is_not_read(cache: Path, capsys: pytest.CaptureFixture) -> None:
    path = run_folder(cache) / "parts/it/manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": SCHEMA_VERSION + 1}))
    assert main(["summary", "xcopa", "--cache", str(cache)]) == 2
    assert "it" in said(capsys)


# --- whole or absent ---------------------------------------------------------------------------------------------


def test_a_part_appears_only_with_its_manifest(
    request_of: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def watch(path: Path, value: dict) -> None:
        folder = path.parent.parent
        seen.append((path.parent.name.startswith("."), [p.name for p in folder.iterdir() if p.name[:1] != "."]))
        files.write_json(path, value)

    monkeypatch.setattr(parts, "write_json", watch)
    pipeline.run(request_of(tmp_path))
    assert [(hidden, len(names)) for hidden, names in seen] == [(True, 0), (True, 1), (True, 2)]


def test_a_part_that_fails_while_it_is_written_leaves_nothing(
    request_of: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("stop")

    monkeypatch.setattr(parts, "write_json", fail)
    with pytest.raises(RuntimeError, match="stop"):
        pipeline.run(request_of(tmp_path))
    assert list((run_folder(tmp_path) / "parts").iterdir()) == []


def test_a_write_that_fails_keeps_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    files.write_json(path, {"old": 1})

    def half(temporary: Path) -> None:
        temporary.write_text("{")
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="disk is full"):
        files.write_atomically(path, half)
    assert files.read_json(path) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["value.json"]


def test_a_lock_is_held_by_one_and_shared_by_many(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.lock"
    with lock(path) as first, lock(path, wait=False) as second:
        assert (first, second) == (True, False)
    with lock(path, shared=True) as first, lock(path, shared=True, wait=False) as second:
        assert (first, second) == (True, True)


# --- chunks ------------------------------------------------------------------------------------------------------


def chunk(start: int, stop: int) -> Chunk:
    rng, n = np.random.default_rng(start), stop - start
    states = {"mean": rng.normal(size=(4, n, 3, 8)).astype(np.float32)}
    zeros = np.zeros(n, dtype=np.int64)
    return Chunk(start, stop, states, rng.normal(size=(n, 2)), zeros, zeros, np.array([1, 2, 3]))


@pytest.mark.parametrize("held", [None, 0, 1, 2])
def test_chunks_read_as_one_array_wherever_they_are(tmp_path: Path, held: int | None) -> None:
    bounds = [(0, 3), (3, 5), (5, 6)]
    made = [chunk(*bound) for bound in bounds]
    for i, one in enumerate(made):
        if i != held:
            save_chunk(tmp_path, "key", one)
    scratch = Scratch(tmp_path, bounds, None if held is None else made[held])
    assert scratch.held_instances == (0 if held is None else (3, 2, 1)[held])
    for layer in range(4):
        expected = np.concatenate([one.states["mean"][layer] for one in made])
        np.testing.assert_array_equal(scratch.layer("mean", layer), expected)
    np.testing.assert_array_equal(scratch.small("logliks"), np.concatenate([one.logliks for one in made]))
    assert scratch.tokens().tolist() == [3, 6, 9]


@pytest.mark.parametrize("size", [0, 5, 40, -1])
def test_a_truncated_chunk_counts_as_absent(tmp_path: Path, size: int) -> None:
    save_chunk(tmp_path, "key", chunk(0, 3))
    (path,) = tmp_path.iterdir()
    assert has_chunk(tmp_path, "key", 0, 3)
    assert not has_chunk(tmp_path, "other", 0, 3) and not has_chunk(tmp_path, "key", 0, 4)
    path.write_bytes(path.read_bytes()[:size])
    assert not has_chunk(tmp_path, "key", 0, 3)


@pytest.mark.parametrize("place", [0.3, 0.7, 1.0])
def test_a_flipped_bit_in_the_numbers_of_a_chunk_makes_it_absent(tmp_path: Path, place: float) -> None:
    save_chunk(tmp_path, "key", chunk(0, 3))
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    first = 8 + int.from_bytes(data[:8], "little")
    data[first + int(place * (len(data) - 1 - first))] ^= 1
    path.write_bytes(data)
    assert not has_chunk(tmp_path, "key", 0, 3)


def test_a_file_system_without_locks_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with (
        pytest.raises(UserError, match=r"Cannot lock .*a.lock \(Function not implemented\).*--cache"),
        lock(tmp_path / "a.lock"),
    ):
        pass


# --- states ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_kept_states_are_those_of_the_chunks(
    request_of: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    from safetensors.numpy import load_file

    monkeypatch.setattr(pipeline, "_clean", lambda run: None)
    run = pipeline.run(request_of(tmp_path, keep_states=dtype, languages=("it",), poolings=("last_token", "mean")))
    chunks = sorted((run.work / "en").glob("*/*.safetensors"))
    for pooling in run.spec.poolings:
        kept = load_file(run.part_folder("en") / parts.states_file(pooling))
        assert sorted(kept) == sorted(f"{what}.{layer}" for what in ("options", "premises") for layer in range(4))
        for name, values in kept.items():
            what, layer = name.split(".")
            texts = np.concatenate([load_file(c)[pooling][int(layer)] for c in chunks])
            exact = texts[:, :-1] if what == "options" else texts[:, -1]
            assert values.dtype == dtype
            np.testing.assert_array_equal(values, exact.astype(dtype))
    assert parts.verify(run) == []


def test_states_too_large_for_float16_are_told_and_infinite(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    from safetensors.numpy import load_file

    values = np.array([[[1.0, -7e4], [65504.0, np.inf], [np.nan, 1e5]]], np.float32)  # 1 instance, 2 options, hidden 2
    assert write_states(tmp_path / "half", "float16", (1, 2, 2), 0, lambda layer: values) == 2
    kept = load_file(tmp_path / "half")
    np.testing.assert_array_equal(kept["options.0"], [[[1.0, -np.inf], [65504.0, np.inf]]])
    np.testing.assert_array_equal(kept["premises.0"], [[np.nan, np.inf]])
    assert write_states(tmp_path / "whole", "float32", (1, 2, 2), 0, lambda layer: values) == 0
    assert not recwarn.list


def test_states_asked_for_in_another_precision_are_kept_in_it(request_of: Callable, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    for dtype in ("float16", "float32"):
        run = pipeline.run(request_of(tmp_path, keep_states=dtype, languages=("it",)))
        kept = load_file(run.part_folder("it") / parts.states_file("last_token"))
        assert {str(values.dtype) for values in kept.values()} == {dtype}


def test_a_finished_run_returns_without_the_model_and_without_writing(
    request_of: Callable, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(models, "load", fail)
    before = stamps(cache)
    assert pipeline.run(request_of(cache)).languages() == ["en", "it", "sw"]
    assert stamps(cache) == before


def test_a_run_that_lost_a_part_computes_only_that_one(
    request_of: Callable, cache: Path, pristine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossalign.computation.choose_linear", lambda model, rows: ("torch", ""))
    folder = run_folder(cache) / "parts"
    shutil.rmtree(folder / "it")
    before = stamps(folder)
    pipeline.run(request_of(cache))
    assert {k: v for k, v in stamps(folder).items() if k in before} == before
    assert parts_of(cache) == parts_of(pristine)


# --- disks that refuse -------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_no_half_export(cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with mounted(tmp_path / "disk", "24k"):
        out = tmp_path / "disk" / "out"
        assert main(["export", "xcopa", "--out", str(out), "--cache", str(cache)]) == 2
        assert "the disk is full" in said(capsys)
        assert temporaries(out) == []


def test_a_read_only_cache_can_be_read_and_says_why_it_cannot_be_written(
    request_of: Callable, pristine: Path, tmp_path: Path
) -> None:
    with mounted(tmp_path / "disk", "4m") as remount:
        cache = shutil.copytree(pristine, tmp_path / "disk" / "cache")
        shutil.rmtree(run_folder(cache) / "parts" / "sw")
        remount("ro")
        before = stamps(cache)
        for order in (["list"], ["verify"], ["summary", "xcopa"], ["export", "xcopa", "--out", str(tmp_path / "out")]):
            assert main([*order, "--cache", str(cache)]) == 0
        pipeline.run(request_of(cache, languages=("it",)))
        for request in (request_of(cache), request_of(cache, limit=3), request_of(cache / "new")):
            with pytest.raises(UserError, match="read-only file system: choose another folder"):
                pipeline.run(request)
        assert stamps(cache) == before
