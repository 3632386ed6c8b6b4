"""How alignment goes with being right: frames from instances."""

import math

import numpy as np
import pandas as pd
import pytest

from crossalign import effects
from crossalign.statistics import (
    COHORTS,
    auc,
    delta,
    held_out_delta,
    held_out_values,
    layer_deltas,
    mantel_haenszel,
    odds_ratio,
    published_delta,
    rate,
    stratified_tables,
)
from crossalign.statistics import cohorts as cohort_numbers

NAN = float("nan")


def instances(n: int = 120, seed: int = 0, passages: bool = False) -> pd.DataFrame:
    """Two languages; in the first alignment goes with being right. A few undefined values."""
    rng = np.random.default_rng(seed)
    frames = []
    for code, strength in (("sw", 0.4), ("ar", 0.0)):
        aligned = (rng.random(n) < 0.5).astype(float)
        correct = (rng.random(n) < 0.4 + strength * aligned).astype(float)
        pivot = (rng.random(n) < 0.7).astype(float)
        correct[3] = aligned[5] = pivot[7] = NAN
        frames.append(
            pd.DataFrame(
                {
                    "language": code,
                    "group": [f"g{i // 2 if passages else i}" for i in range(n)],
                    "correct": correct,
                    "pivot_correct": pivot,
                    "cohort": pd.Categorical.from_codes(cohort_numbers(pivot, correct), categories=list(COHORTS)),
                    "aligned": aligned,
                    "margin": np.where(aligned == 1, 0.1, -0.1) + 0.05 * rng.random(n),
                    "layers_aligned": rng.integers(0, 5, n) / 4 + 0.2 * aligned,
                }
            )
        )
    frame = pd.concat(frames, ignore_index=True)
    return frame.assign(language=pd.Categorical(frame["language"], categories=["sw", "ar", "absent"]))


@pytest.mark.parametrize("passages", [False, True])
def test_each_language_has_the_estimate_of_its_own_instances(passages: bool) -> None:
    frame = instances(passages=passages)
    for code, part in frame.groupby("language", observed=True):
        groups = pd.factorize(part["group"])[0]
        numbers = {
            c: part[c].to_numpy(float) for c in ("aligned", "correct", "margin", "pivot_correct", "layers_aligned")
        }
        cohort = cohort_numbers(numbers["pivot_correct"], numbers["correct"])
        expected = {
            "odds_ratio": odds_ratio(numbers["aligned"], numbers["correct"], groups if passages else None),
            "delta": delta(numbers["aligned"], cohort, groups),
            "auc": auc(numbers["margin"], numbers["correct"], groups),
            "auc_layers": auc(numbers["layers_aligned"], numbers["correct"], groups),
        }
        for name, estimate in expected.items():
            row = effects.by_language(frame, name).set_index("language").loc[code]
            assert tuple(row[["estimate", "low", "high", "p", "n"]]) == pytest.approx(tuple(estimate))


def test_p_values_are_corrected_over_the_languages_that_are_there() -> None:
    found = effects.by_language(instances(), "odds_ratio")
    assert found["language"].tolist() == ["sw", "ar"]
    smallest = found["p"].min()
    assert found["p_holm"].min() == pytest.approx(2 * smallest)
    assert found["p_bh"].max() == pytest.approx(found["p"].max())


def test_as_published_instances_are_independent_and_delta_is_one_sided() -> None:
    frame = instances(passages=True)
    mine = frame[frame["language"] == "sw"]
    cohort = cohort_numbers(mine["pivot_correct"].to_numpy(float), mine["correct"].to_numpy(float))
    aligned, correct = (mine[c].to_numpy(float) for c in ("aligned", "correct"))
    expected = {"delta": published_delta(aligned, cohort), "odds_ratio": odds_ratio(aligned, correct)}
    expected["auc"] = auc(mine["margin"].to_numpy(float), correct)
    for name, estimate in expected.items():
        row = effects.by_language(frame, name, "published").iloc[0]
        assert tuple(row[["estimate", "low", "high", "p", "n"]]) == pytest.approx(tuple(estimate))
        assert tuple(row[["low", "p"]]) != tuple(effects.by_language(frame, name).iloc[0][["low", "p"]])


def test_delta_over_halves_is_that_of_held_out_layers() -> None:
    frame = instances()
    rng = np.random.default_rng(3)
    decided = (rng.random((5, len(frame))) < 0.5).astype(float)
    cohort = cohort_numbers(frame["pivot_correct"].to_numpy(float), frame["correct"].to_numpy(float))
    both = []
    for rows in np.split(np.arange(len(frame)), 2):
        groups = pd.factorize(frame["group"].iloc[rows])[0]
        both.append(held_out_values(decided[:, rows].T, groups, n_splits=20))
    found = effects.by_language(frame.assign(aligned=np.concatenate(both)), "delta", "halves")
    expected = held_out_delta(decided[:, :120].T, cohort[:120], np.arange(120))
    assert tuple(found.iloc[0][["estimate", "low", "high", "p", "n"]]) == pytest.approx(tuple(expected))


def test_the_most_different_layer_answers_for_the_choice() -> None:
    frame = instances()
    decided = (np.random.default_rng(4).random((5, len(frame))) < 0.5).astype(float)
    decided[2, :120] = np.where(frame["correct"][:120] == 1, 1.0, decided[2, :120])
    found = effects.most_different_layers({"sw": decided[:, :120], "ar": decided[:, 120:]}, frame)
    cohort = pd.Categorical(frame["cohort"], categories=COHORTS).codes[:120].astype(np.int64)
    every = layer_deltas(decided[:, :120].T, cohort, np.arange(120))
    row = found.iloc[0]
    assert row["layer"] == every.best == 2 and row["p"] == every.p_best[2] > every.p[2]
    assert row["estimate"] == every.value[2] and row["n"] == every.n and (found["p_holm"] >= found["p"]).all()
    nothing = effects.most_different_layers({"sw": decided[:, :120], "ar": decided[:, 120:]}, frame.assign(cohort=None))
    assert nothing["layer"].isna().all() and nothing["estimate"].isna().all()


def test_over_languages_the_odds_ratio_is_mantel_haenszels() -> None:
    frame = instances()
    stratum = pd.factorize(frame["language"])[0]
    tables = stratified_tables(frame["aligned"].to_numpy(float), frame["correct"].to_numpy(float), stratum)
    found, plain = effects.over_languages(frame, "odds_ratio"), mantel_haenszel(tables)
    assert found.estimate.value == pytest.approx(plain.odds_ratio.value)
    assert found.homogeneity_p == pytest.approx(plain.homogeneity_p)
    for name in ("delta", "auc", "auc_layers"):
        pooled = effects.over_languages(frame, name)
        assert pooled.n_languages == 2 == found.n_languages
        constant = frame.assign(
            **{c: frame[c].where(frame["language"] != "ar", 1.0) for c in ("correct", "pivot_correct")}
        )
        constant["cohort"] = frame["cohort"].where(frame["language"] != "ar", "EC-XC")
        assert effects.over_languages(constant, name).n_languages == 1, "in the other none is wrong"
        alone = effects.by_language(frame, name)["estimate"]
        assert alone.min() < pooled.estimate.value < alone.max() and math.isnan(pooled.homogeneity_p)


def test_counts_by_hand() -> None:
    frame = pd.DataFrame(
        {
            "language": ["sw"] * 5,
            "group": list("abcde"),
            "correct": [1.0, 1.0, 0.0, 0.0, NAN],
            "cohort": [None] * 5,
            "aligned": [1.0, 1.0, 1.0, 0.0, 1.0],
            "margin": [0.1] * 5,
            "layers_aligned": [0.5] * 5,
        }
    )
    assert effects.crossed(frame)["n"].tolist() == [2, 1, 0, 1]
    *cells, last = effects.cells(frame)
    assert cells == ["aligned, correct", "aligned, correct", "aligned, incorrect", "not aligned, incorrect"]
    assert pd.isna(last)


def test_nothing_answered_is_undefined_and_not_an_error() -> None:
    frame = instances().assign(correct=NAN, cohort=pd.Categorical([None] * 240))
    assert effects.known_effects(frame) == list(effects.EFFECTS)
    assert "auc" not in effects.known_effects(frame.assign(margin=NAN))
    for name in effects.EFFECTS:
        assert effects.by_language(frame, name)["estimate"].isna().all()
        assert math.isnan(effects.over_languages(frame, name).estimate.value)
    assert effects.crossed(frame)["n"].sum() == 0


@pytest.mark.parametrize("size", [1, 3])
def test_rates_by_layer_are_those_of_rate(size: int) -> None:
    rng = np.random.default_rng(1)
    decided = (rng.random((4, 60)) < 0.5).astype(float)
    decided[1, :4] = NAN
    decided[2, 30:] = 1.0
    decided[3] = NAN
    series = pd.Series(["a"] * 30 + ["b"] * 28 + [None] * 2)
    groups = rng.permutation(np.arange(60) // size)
    found = effects.rates_by_layer(decided, series, groups).set_index(["series", "layer"])
    for key in ("a", "b"):
        at = (series == key).to_numpy()
        for layer in range(4):
            expected = rate(decided[layer, at], groups[at])
            row = found.loc[(key, layer)]
            assert tuple(row[["rate", "low", "high", "n"]]) == pytest.approx(tuple(expected), nan_ok=True)
    assert set(found.index.get_level_values("series")) == {"a", "b"}
