"""The published figures in the package, and ours beside all published numbers, on the released files."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from conftest import SHARED

from crossalign.languages import language
from crossalign.reference import CAVEATS, COLUMNS, TASKS, reference_table
from crossalign.schema import UserError

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def release() -> Path:
    """The released results, kept beside the checkout and never in it."""
    folder = SHARED / "reference" / "xling_alignment"
    if not folder.is_dir():
        pytest.skip("the released results are not beside this checkout")
    return folder


@pytest.fixture
def reproduce(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("reproduce")


# --- the table ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_the_table_has_its_columns_and_sane_values(task):
    table = reference_table(task)
    assert list(table.columns) == list(COLUMNS)
    rates = table.dropna(subset="rate")
    assert (rates["low"] <= rates["rate"]).all() and (rates["rate"] <= rates["high"]).all()
    assert rates["rate"].between(0, 1).all() and table["accuracy"].between(0.2, 1).all()
    assert not rates.duplicated(["language", "metric", "layer"]).any()
    assert table.groupby("language")["accuracy"].nunique().eq(1).all()
    assert all(language(code).name == name for code, name in zip(table["language"], table["name"], strict=True))
    layers = rates.groupby("metric")["layer"].agg(["min", "max"])
    assert layers.loc["dali"].tolist() == [0, 31] and layers.loc["mexa_t"].tolist() == [0, 32]
    assert CAVEATS[task]


def test_the_table_gives_the_published_numbers():
    table = reference_table("xcopa")
    chinese = table[(table["language"] == "zh") & (table["metric"] == "dali")]
    assert chinese["accuracy"].iloc[0] == pytest.approx(0.742)
    best = chinese.loc[chinese["rate"].idxmax()]
    assert (best["layer"], best["rate"], best["n"]) == (8, pytest.approx(0.486), 500)
    assert set(table.loc[table["metric"].isna(), "language"]) == {"ht", "qu"}
    assert "eng_Latn" in set(reference_table("belebele")["language"])


def test_a_task_without_figures_is_named():
    with pytest.raises(UserError, match=r"no published figures for xstorycloze; there are for xcopa, belebele"):
        reference_table("xstorycloze")


def test_strong_alignment_is_never_more_common():
    for task in TASKS:
        wide = reference_table(task).pivot_table(index=["language", "layer"], columns="metric", values="rate")
        both = wide[["dali", "dali_s"]].dropna()
        assert len(both) > 200 and (both["dali_s"] <= both["dali"]).all()


@pytest.mark.shared
def test_the_table_is_what_its_command_makes(release, tmp_path):
    command = [sys.executable, str(BENCHMARKS / "reference_table.py"), str(release), "--out", str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""})
    for name in ("accuracy.csv", "alignment.csv"):
        kept = ROOT / "crossalign" / "reference" / name
        assert (tmp_path / name).read_bytes() == kept.read_bytes()


# --- every published number --------------------------------------------------------------------------------------


@pytest.mark.shared
def test_every_published_number_is_reproduced(release, reproduce, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["reproduce.py", str(release)])
    assert reproduce.main() == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2] == "368 numbers, 0 differ by more than rounding"
    assert not any("DIFFERS" in line for line in printed)
    # 16 correlations twice, 8 languages × 7 figures, 8 × (2 rates, Δ, p), 8 × 4 cohorts; then 27 languages × 2 directions
    # × COMET and COMETKIWI × mean and median.
    assert 2 * 16 + 8 * 7 + 8 * 4 + 8 * 4 + 27 * 2 * 2 * 2 == 368
    # 19 of the 27 languages have both aligned and not aligned sentences: r and p each, 4 times; pooled r and p; 4 × 4 r.
    assert printed[-1] == "176 numbers more, of which no value was published" and 4 * (19 * 2 + 2 + 4) == 176


@pytest.mark.shared
def test_a_number_that_differs_fails(release, reproduce, capsys, monkeypatch):
    monkeypatch.setitem(reproduce.DELTAS, "tr", "0.524 0.372 0.152 0.008")
    monkeypatch.setattr(sys, "argv", ["reproduce.py", str(release)])
    assert reproduce.main() == 1
    wrong = [line for line in capsys.readouterr().out.splitlines() if "DIFFERS" in line]
    assert len(wrong) == 1 and wrong[0].startswith("xcopa tr p")


@pytest.mark.parametrize(
    ("ours", "published", "agrees"),
    [(0.7488, "0.749", True), (0.7484, "0.749", False), (0.8095, "0.810", True), (8.0, "8", True), (9.0, "8", False),
     (float("nan"), "0.1", False), (-0.0894, "-0.089", True)],
)  # fmt: skip
def test_rounding(reproduce, ours, published, agrees):
    assert reproduce.Line("", ours, published).agrees == agrees


def test_a_wrong_folder_is_told(reproduce, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["reproduce.py", str(tmp_path)])
    assert reproduce.main() == 2
    assert "must be the folder of the release" in capsys.readouterr().err


def test_damaged_and_missing_files_are_named(reproduce, capsys, monkeypatch, tmp_path):
    place = tmp_path / "accuracy_outputs" / "Llama3.1" / "xcopa_unnormalized_5shot" / "zh"
    place.mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", ["reproduce.py", str(tmp_path)])
    assert reproduce.main() == 2
    assert "holds no results_" in capsys.readouterr().err
    (place / "results_1.json").write_text('{"results": {"xcopa_zh"', encoding="utf-8")
    assert reproduce.main() == 2
    assert "results_1.json is damaged" in capsys.readouterr().err
    (place / "results_1.json").write_text('{"results": {"xcopa_zh": {"acc,none": 0.5}}}', encoding="utf-8")
    (tmp_path / "accuracy_outputs" / "Llama3.1" / "belebele_5shot" / "eng_Latn").mkdir(parents=True)
    english = tmp_path / "accuracy_outputs" / "Llama3.1" / "belebele_5shot" / "eng_Latn" / "results_1.json"
    english.write_text('{"results": {"b": {"acc,none": 0.5}}}', encoding="utf-8")
    assert reproduce.main() == 2
    assert "no file for language 'id'" in capsys.readouterr().err
