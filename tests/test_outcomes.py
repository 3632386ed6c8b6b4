"""Outcomes, margins and findings: against slow recomputation, hand-worked cases, and a cache that lacks or forbids."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from synthetic import Shape, synthetic_run

from crossalign import findings, tables
from crossalign.alignment import aligned, layers_aligned
from crossalign.imported import Aligned
from crossalign.margins import read_margins
from crossalign.outcomes import at_layers, outcomes
from crossalign.schema import UserError
from crossalign.store import parts
from crossalign.store.files import write_arrays, write_json
from crossalign.store.runs import Run, read_run

CODES = ("eng_Latn", "swh_Latn", "arb_Arab")
NAME = parts.margins_file("eng_Latn", "last_token")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return synthetic_run(tmp_path_factory.mktemp("outcomes"), CODES, Shape(n=30, options=3, layers=4))


@pytest.fixture
def without_margins(run: Run, tmp_path: Path) -> Run:
    """The run as an older version left it: no part has stored margins."""
    folder = shutil.copytree(run.folder, tmp_path / run.folder.name)
    older = read_run(folder)
    for code in CODES[1:]:
        manifest = older.manifest(code)
        assert manifest is not None
        for name in [n for n in manifest.checksums if n.startswith("margins")]:
            (older.part_folder(code) / name).unlink()
        kept = {n: c for n, c in manifest.checksums.items() if not n.startswith("margins")}
        shorter = replace(manifest, checksums=kept)
        fields = {f: getattr(shorter, f) for f in shorter.__dataclass_fields__} | {"digest": shorter.own_digest}
        write_json(older.part_folder(code) / "manifest.json", fields)
    return older


# --- margins -----------------------------------------------------------------------------------------------------


def test_stored_margins_decide_as_the_cosines_do(run: Run) -> None:
    exact = tables.instance_alignment(run, "swh_Latn")
    for pooling in run.spec.poolings:
        stored = read_margins(run, "swh_Latn", pooling)
        for metric, values in stored.items():
            mine = exact[(exact["pooling"] == pooling) & (exact["metric"] == metric)]
            wanted = mine["margin"].to_numpy(float).reshape(30, 5).T
            assert values.dtype == np.float32 and values.shape == (5, 30)
            np.testing.assert_allclose(values, wanted, atol=1e-7)
            np.testing.assert_array_equal(values > 0, wanted > 0)
            np.testing.assert_array_equal(values == 0, wanted == 0)


def test_shared_margins_cannot_be_changed(run: Run) -> None:
    with pytest.raises(ValueError, match="read-only"):
        read_margins(run, "swh_Latn", "last_token")["dali"][0, 0] = 1.0


def test_absent_margins_are_made_once_and_belong_to_the_part(run: Run, without_margins: Run) -> None:
    path = without_margins.part_folder("swh_Latn") / NAME
    assert not path.exists()
    made = read_margins(without_margins, "swh_Latn", "last_token")
    assert path.exists() and parts.verify(without_margins) == []
    for metric, values in read_margins(run, "swh_Latn", "last_token").items():
        np.testing.assert_array_equal(values, made[metric])
    written = path.stat().st_mtime_ns
    read_margins(without_margins, "swh_Latn", "last_token")
    assert path.stat().st_mtime_ns == written


def test_margins_of_a_cache_that_may_only_be_read(without_margins: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise UserError("Cannot write.")

    monkeypatch.setattr(parts, "add_file", refuse)
    assert set(read_margins(without_margins, "swh_Latn", "last_token")) >= {"dali", "mexa_t"}
    assert not (without_margins.part_folder("swh_Latn") / NAME).exists()


def test_damaged_margins_are_refused_and_the_pivot_has_none(run: Run, tmp_path: Path) -> None:
    copy = read_run(shutil.copytree(run.folder, tmp_path / run.folder.name))
    path = copy.part_folder("swh_Latn") / NAME
    arrays = load_file(path)
    arrays["dali"] = arrays["dali"] + 1
    write_arrays(path, arrays)
    with pytest.raises(UserError, match="damaged"):
        read_margins(copy, "swh_Latn", "last_token")
    assert read_margins(copy, "eng_Latn", "last_token") == {}


def test_a_file_is_added_once(run: Run, tmp_path: Path) -> None:
    copy = read_run(shutil.copytree(run.folder, tmp_path / run.folder.name))
    parts.add_file(copy, "swh_Latn", "note.txt", lambda path: path.write_text("first"))
    parts.add_file(copy, "swh_Latn", "note.txt", lambda path: path.write_text("second"))
    assert (copy.part_folder("swh_Latn") / "note.txt").read_text() == "first"
    assert parts.verify(copy) == [] and parts.has_file(copy, "swh_Latn", "note.txt")
    parts.add_file(copy, "absent", "note.txt", lambda path: path.write_text("no"))
    assert not copy.part_folder("absent").exists()


# --- outcomes ----------------------------------------------------------------------------------------------------


def test_outcomes_are_those_of_the_tables_and_join_on_the_id(run: Run) -> None:
    frame = outcomes(run, CODES[1:])
    pivot = tables.instances(run, "eng_Latn").set_index("instance_id")
    for code in CODES[1:]:
        mine, wanted = frame[frame["language"] == code], tables.instances(run, code)
        assert mine["instance_id"].tolist() == wanted["instance_id"].tolist()
        assert mine["prediction"].tolist() == wanted["prediction"].tolist()
        assert mine["correct"].tolist() == wanted["correct"].astype(float).tolist()
        for row in mine.itertuples():
            right = bool(pivot["correct"][row.instance_id])
            assert row.pivot_correct == right
            assert row.cohort == f"E{'C' if right else 'W'}-X{'C' if row.correct else 'W'}"
            assert (row.logprob_margin > 0) == (row.correct == 1)


def test_a_language_without_a_rate_at_any_layer_has_no_decision_and_hides_no_other(run: Run) -> None:
    frame = outcomes(run, CODES[1:3])
    sizes = frame.groupby("language", sort=False).size().tolist()
    drawn = [Aligned(np.full((3, n), value), np.full((3, n), value)) for n, value in zip(sizes, (np.nan, 1.0), strict=True)]  # fmt: skip
    found = at_layers(frame, dict(zip(CODES[1:3], drawn, strict=True)), {CODES[2]: 1})
    assert found["aligned"].isna().sum() == sizes[0] and (found["aligned"][sizes[0] :] == 1).all()


def test_a_layer_that_a_language_lacks_is_not_answered_with_another(run: Run) -> None:
    frame = outcomes(run, CODES[1:2])
    drawn = Aligned(np.ones((3, len(frame))), np.ones((3, len(frame))))
    found = at_layers(frame, {CODES[1]: drawn}, {})
    assert found[["aligned", "margin"]].isna().all(axis=None) and (found["layers_aligned"] == 1).all()


def test_sentences_have_no_outcome(tmp_path: Path) -> None:
    run = synthetic_run(tmp_path, CODES, Shape(n=8, options=0, task="flores"))
    frame = outcomes(run, CODES[1:])
    assert len(frame) == 16
    assert frame[["gold", "prediction", "correct", "logprob_margin", "pivot_correct", "cohort"]].isna().all(axis=None)


def test_share_of_aligned_layers(run: Run) -> None:
    decided = aligned(read_margins(run, "swh_Latn", "last_token")["dali"])
    slow = [np.mean([decided[layer, i] for layer in range(5)]) for i in range(30)]
    np.testing.assert_allclose(layers_aligned(decided), slow)
    assert np.isnan(layers_aligned(np.full((3, 2), np.nan))).all()


# --- findings ----------------------------------------------------------------------------------------------------


def languages(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["language", "name", "n", "accuracy", "accuracy_low", "accuracy_high"])


def test_accuracy_in_words() -> None:
    frame = languages(
        ("en", "English", 500, 0.8, 0.763, 0.833),
        ("sw", "Swahili", 500, 0.57, 0.526, 0.613),
        ("it", "Italian", 500, 0.79, 0.752, 0.823),
    )
    found = findings.accuracy(frame, "en")
    assert found is not None
    assert found.text == (
        "In English, the pivot, 80.0 % [76.3, 83.3] of 500 instances are answered right. "
        "In 2 other languages it is 68.0 % on average, from 57.0 % (Swahili) to 79.0 % (Italian)."
    )
    assert findings.accuracy(frame.assign(accuracy=np.nan), "en") is None
    uncounted = findings.accuracy(frame.assign(n=0), "en")
    assert uncounted is not None and "80.0 % [76.3, 83.3] of the instances are answered right." in uncounted.text
    without = findings.accuracy(frame, "de")
    assert without is not None
    assert without.text == ("In 3 languages accuracy is 72.0 % on average, from 57.0 % (Swahili) to 80.0 % (English).")


def test_association_in_words() -> None:
    points = pd.DataFrame({"rate": [0.1, 0.2, 0.3, 0.4, 0.5], "accuracy": [0.2, 0.3, 0.35, 0.55, 0.6]})
    found = findings.association(points, "DALI", "best layer")
    assert found is not None
    r = np.corrcoef(points["rate"], points["accuracy"])[0, 1]
    # Of 120 orders only the observed one and its reverse are as steep: p = 2 / 120.
    assert f"over 5 languages: r = {r:.2f} [" in found.text and "p = 0.017" in found.text
    assert found.text.endswith("by rank 1.00."), "in perfect order there is no interval"
    few = findings.association(points.head(3), "DALI", "best layer")
    assert few is not None and "too few" in few.text
    same = findings.association(points.assign(rate=0.5), "DALI", "best layer")
    assert same is not None and "no correlation" in same.text
    assert findings.association(points.assign(accuracy=np.nan), "DALI", "best layer") is None


def instances(language: str, counts: dict[tuple[str, int], int]) -> pd.DataFrame:
    """Instances with independent groups: (cohort, aligned) → how many."""
    rows = [key for key, count in counts.items() for _ in range(count)]
    frame = pd.DataFrame(rows, columns=["cohort", "aligned"])
    return frame.assign(
        language=language,
        group=[f"{language}{i}" for i in range(len(rows))],
        pivot_correct=[float(c.startswith("EC")) for c, _ in rows],
        correct=[float(c.endswith("XC")) for c, _ in rows],
    )


def test_separation_counts_languages_after_correction() -> None:
    clear = {("EC-XC", 1): 80, ("EC-XC", 0): 20, ("EC-XW", 1): 20, ("EC-XW", 0): 80}
    weak = {("EC-XC", 1): 56, ("EC-XC", 0): 44, ("EC-XW", 1): 42, ("EC-XW", 0): 58}
    frame = pd.concat([instances("sw", clear), instances("it", weak), instances("th", weak)])
    tests = findings.separations(frame).set_index("language")
    assert tests["value"].round(6).to_dict() == {"sw": 0.6, "it": 0.14, "th": 0.14}
    assert tests["p"]["it"] < 0.05 < tests["p_holm"]["it"]  # 0.048 alone, twice that after correction
    found = findings.separation(tests.reset_index(), "DALI", "layer 4", {"sw": "Swahili"})
    assert found is not None and found.query == {"language": "sw"}
    assert "are aligned (DALI, layer 4) more often" in found.text
    assert "more often in 1 of 3 languages after correction. Largest difference: 60.0 points [" in found.text
    assert findings.separation(tests.reset_index().assign(p_holm=np.nan), "DALI", "layer 4", {}) is None


def test_the_largest_gap_in_words() -> None:
    some = {("EC-XC", 1): 60, ("EC-XW", 1): 30, ("EW-XC", 1): 6, ("EW-XW", 1): 4}
    level = {("EC-XC", 1): 60, ("EW-XW", 1): 40}
    differences = findings.gaps(pd.concat([instances("sw", some), instances("it", level)]))
    assert differences.set_index("language")["value"].round(6).to_dict() == {"sw": 0.24, "it": 0.0}
    found = findings.largest_gap(differences, {"sw": "Swahili", "en": "English"}, "en")
    assert found is not None
    assert (
        found.text.startswith("Swahili is furthest behind: 24.0 points [")
        and "same 100 instances, p < 0.0001" in found.text
    )
    none = findings.largest_gap(differences.tail(1).assign(value=-0.1), {"en": "English"}, "en")
    assert none is not None and none.text.startswith("No language is behind English")


def test_a_pivot_without_results_of_its_own_has_its_name() -> None:
    frame = languages(("sw", "Swahili", 100, 0.7, 0.6, 0.8))
    points = pd.DataFrame({"rate": [0.5], "best_layer": [3], "relabelled_rate": [0.1], "accuracy": [0.7]})
    some = instances("sw", {("EC-XC", 1): 60, ("EC-XW", 1): 30, ("EW-XC", 1): 6, ("EW-XW", 1): 4})
    told = findings.told(frame, points, points, some, findings.About("DALI", "best", "best", "en", 6))
    assert any("less than English on the same 100 instances" in finding.text for finding in told)


def test_the_peak_in_words() -> None:
    best = pd.DataFrame({"best_layer": [8, 10, 18], "rate": [0.5, 0.6, 0.7], "relabelled_rate": [0.1, 0.1, 0.1]})
    found = findings.peak(best, "DALI", 32)
    assert found is not None
    assert found.text == (
        "DALI is highest at layer 10 of 32 (relative depth 31 %, the median over languages, from 8 to 18). "
        "At each language's best layer 60.0 % of the instances are aligned on average, and 10.0 % when no pair is a "
        "translation."
    )
    one = findings.peak(best.head(1).assign(relabelled_rate=np.nan), "DALI", 32)
    assert one is not None and one.text.endswith("There 50.0 % of the instances are aligned.")
    same = findings.peak(best.assign(best_layer=8), "DALI", 32)
    assert same is not None and "in every language). There 60.0 %" in same.text
    assert findings.peak(best.assign(rate=np.nan), "DALI", 32) is None
