"""Damaged releases: what is sound is imported, and what is not is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from foreign import (
    DALI,
    MEXA,
    aligned_by_layer,
    alignment_folder,
    as_bools,
    by_item,
    imported_runs,
    rewrite,
    runs_of,
    write_json,
    write_logs,
    write_release,
    xcopa_samples,
)

from crossalign.__main__ import main
from crossalign.importers import building
from crossalign.importers.published import import_release
from crossalign.schema import UserError
from crossalign.store.runs import list_runs


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write_release(tmp_path / "release")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


# --- damage ------------------------------------------------------------------------------------------------------


def without_layer(record: dict) -> dict:
    return {k: v for k, v in record.items() if k != "1"}


@pytest.mark.parametrize(
    ("file", "change", "told", "left"),
    [
        ("xcopa_mexa/italian.json", without_layer, "layer 1 is missing", [as_bools(MEXA)[0], [None] * 4, as_bools(MEXA)[2]]),
        ("xcopa_mexa/italian.json", lambda r: r | {"1": r["1"][:3]}, "layer '1' does not have 4 items", None),
        ("xcopa_mexa/italian.json", lambda r: r | {"1": [0, 2, 0, 0]}, "layer '1' has 2, neither 0 nor 1", None),
        ("xcopa_mexa/italian.json", lambda r: r | {"x": r["1"]}, "layer 'x' has 'x', no number from 0", as_bools(MEXA)),
        ("xcopa_mexa/italian.json", lambda r: [1, 2], "it holds no decisions", []),
        ("xcopa_mexa/italian.json", lambda r: {"99999": [1, 1, 1, 1]}, "a layer 99999", []),
    ],
)  # fmt: skip
def test_a_damaged_mexa_file_keeps_its_sound_layers(
    release: Path, cache: Path, file: str, change: object, told: str, left: list | None
) -> None:
    rewrite(alignment_folder(release) / file, change)
    runs, said = imported_runs(release, cache)
    assert told in said and file in said
    gap = [as_bools(MEXA)[0], [None] * 4, as_bools(MEXA)[2]]
    assert aligned_by_layer(runs["xcopa"], "it", "mexa_t") == (gap if left is None else left)
    assert aligned_by_layer(runs["xcopa"], "it", "dali") == as_bools(DALI)


def test_a_dali_file_may_lack_items_and_repeat_them(release: Path, cache: Path) -> None:
    path = alignment_folder(release) / "xcopa_dali/DALI_italian_lasttoken.json"
    text = json.dumps({k: v for k, v in by_item(DALI).items() if k != "0"})
    path.write_text(text[:-1] + ', "3": {"0": 0, "1": 0}, "2": {"0": 5}, "abc": {}}', encoding="utf-8")
    write_json(path.with_name("DALI_thai_lasttoken.json"), by_item(DALI))  # a further file that counts from 0
    (path.with_name("DALI_swahili_lasttoken.json")).unlink()
    runs, told = imported_runs(release, cache)
    assert "'3' stands there twice; the first counts" in told and "item 'abc'" in told
    assert aligned_by_layer(runs["xcopa"], "it", "dali") == [[None, False, False, True], [None, True, False, True]]


def test_a_file_that_may_count_from_0_or_1_is_not_guessed(release: Path, cache: Path) -> None:
    path = alignment_folder(release) / "xcopa_dali/DALI_italian_lasttoken.json"
    rewrite(path, lambda r: {k: v for k, v in r.items() if k != "0"})  # 1…3 of 4, beside files of both kinds
    runs, told = imported_runs(release, cache)
    assert "run from 1 to 3 of 4, so they may count from 0 or from 1" in told and path.name in told
    assert aligned_by_layer(runs["xcopa"], "it", "dali") == []
    assert aligned_by_layer(runs["xcopa"], "sw", "dali") == as_bools(DALI)


def test_items_beyond_the_task_are_refused(release: Path, cache: Path) -> None:
    path = alignment_folder(release) / "xcopa_dali/DALI_italian_lasttoken.json"
    rewrite(path, lambda r: r | {"17": {"0": 1, "1": 1}})
    assert "run from 0 to 17, but the task has 4" in imported_runs(release, cache)[1]


def test_unknown_names_are_told_with_their_file(release: Path, cache: Path) -> None:
    alignment = alignment_folder(release)
    write_json(alignment / "xcopa_dali/DALI_swahilli_lasttoken.json", by_item(DALI))
    write_json(alignment / "xcopa_dali_strict/DALI_italian_lasttoken.json", by_item(DALI))
    write_json(alignment / "xcopa_dali/DAS_italian_lasttoken.json", by_item(DALI))
    write_json(alignment / "xcopa_mexa/english.json", {"0": [1, 1, 1, 1]})
    write_json(release / "translation_outputs/Small/flores_100/sentence/notes.json", {})
    quality = release / "translation_outputs/Small/flores_100/sentence/entoxx_Small_flores_COMET.json"
    rewrite(quality, lambda r: r | {"klingon": [1.0, 1.0], "thai": "none"})
    report = import_release(release, cache)
    told = "\n".join(report.left_out)
    assert "DALI_swahilli_lasttoken.json: 'swahilli' names no language of this task (nearest: sw)" in told
    assert "xcopa_dali_strict: the folder should be named" in told and "DAS_*: these files hold scores" in told
    assert "notes.json" in told and "'klingon' names no language" in told and "'thai' has no scores" in told
    assert any("the pivot with itself" in note for note in report.notes)
    assert runs_of(cache)["xcopa"].languages() == ["it", "sw"]
    assert main(["import", "published", str(release), "--cache", str(cache)]) == 1


def test_another_model_or_language_than_the_folders_is_left_out(release: Path, cache: Path) -> None:
    setting = release / "accuracy_outputs/Small/xcopa_unnormalized_5shot"
    write_logs(setting / "th/org__other", {"xcopa_th": xcopa_samples("th")}, model="org/other", shots=5)
    write_logs(setting / "ta/org__small", {"xcopa_tr": xcopa_samples("tr")}, shots=5)
    write_logs(setting / "vi/org__small", {"hellaswag_vi": xcopa_samples("vi")}, shots=5)
    runs, told = imported_runs(release, cache)
    assert "it is of org/other, the others here of org/small" in told
    assert "it is of 'xcopa_tr', but lies in 'xcopa_unnormalized_5shot/ta'" in told and "'hellaswag_vi'" in told
    assert runs["xcopa"].languages() == ["it", "sw"]


def test_the_setting_is_that_of_the_task_folder_wherever_the_release_lies(release: Path, tmp_path: Path) -> None:
    elsewhere = release.rename(tmp_path / "xcopa_copy_3shot")
    write_logs(elsewhere / "accuracy_outputs/Small/xcopa/th/org__small", {"xcopa_th": xcopa_samples("th")}, shots=5)
    report = import_release(elsewhere, tmp_path / "cache")
    assert not any("its folder says" in note for note in report.notes)
    found = {r.spec.protocol: r.languages() for r in list_runs(tmp_path / "cache")[0] if r.spec.task == "xcopa"}
    assert found == {"unnormalized": ["it", "sw"], "harness": ["it", "sw", "th"]}


def test_the_shots_of_the_log_count_not_those_of_the_folder(release: Path, cache: Path) -> None:
    setting = release / "accuracy_outputs/Small/xcopa_unnormalized_5shot"
    write_logs(setting / "th/org__small", {"xcopa_th": xcopa_samples("th")}, shots=0)
    report = import_release(release, cache)
    assert any("its folder says 5 shots, the log 0" in note for note in report.notes)
    assert sorted(r.spec.shots for r in list_runs(cache)[0] if r.spec.task == "xcopa") == [0, 5]


def test_an_error_in_the_middle_leaves_no_run(release: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path, *_: object) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(building, "_write_quality", fail)
    with pytest.raises(RuntimeError):
        import_release(release, cache)
    assert [p.name for p in cache.iterdir()] == [".imports.lock"]


def test_a_folder_without_results_is_one_sentence(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        import_release(tmp_path / "none", cache)
    with pytest.raises(UserError, match="accuracy_outputs"):
        import_release(tmp_path, cache)
