"""How quantities of languages go together: against the published coefficients, the statistics below, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from figure_frames import language_rows

from crossalign import metric_relations, relations
from crossalign.relations import PAIRS
from crossalign.schema import UserError
from crossalign.statistics import correlation_difference, pearson, spearman

ACCURACY = PAIRS["accuracy"]


def rate_frame(grid: np.ndarray, metric: str = "dali") -> pd.DataFrame:
    """Rates as `tables.rates` gives them, from [language, layer]."""
    rows = [
        {"language": f"l{i:02d}_Latn", "pooling": "last_token", "metric": metric, "layer": layer, "rate": rate}
        for i, rates in enumerate(grid)
        for layer, rate in enumerate(rates)
    ]
    return pd.DataFrame(rows).assign(low=0.0, high=1.0, relabelled_rate=0.1, tie_rate=0.0, n=50)


@pytest.fixture
def points() -> pd.DataFrame:
    table = language_rows(12).assign(script=["Latn", "Arab", "Latn"] * 4)
    return table.assign(training_share=np.linspace(0, 0.3, 12) ** 2)


PUBLISHED = {"max": {"dali": (0.749, 0.778), "dali_s": (0.166, 0.527)}, "mean": {"dali": (0.535, 0.619), "dali_s": (-0.089, 0.571)}}  # fmt: skip


@pytest.mark.parametrize(("rule", "metric"), [(rule, metric) for rule in PUBLISHED for metric in PUBLISHED[rule]])
def test_the_published_points_have_the_published_coefficients(rule: str, metric: str) -> None:
    table = relations.coefficients(relations.published_points("xcopa", metric, rule), ACCURACY)
    found = table[table["held_fixed"] == ""].set_index("coefficient")["r"]
    assert tuple(found[["pearson", "spearman"]].round(3)) == PUBLISHED[rule][metric]


def test_published_points_leave_out_the_layer_after_the_final_norm() -> None:
    best = relations.published_points("belebele", "mexa_t", "max")
    assert best["best_layer"].max() < 32
    assert relations.published_points("belebele", "mexa_t", "layer", 32).empty
    with pytest.raises(UserError, match="no published figures"):
        relations.published_points("xstorycloze", "dali", "max")


def test_one_number_of_all_layers() -> None:
    rates = rate_frame(np.array([[0.1, 0.9, 0.2], [0.3, 0.2, 0.7]]))
    facts = pd.DataFrame({"language": ["l00_Latn", "l01_Latn"], "n": [7, 7]})
    best = relations.language_points(facts, rates, "max").set_index("language")
    assert (
        best["rate"].tolist() == [0.9, 0.7] and best["layer"].tolist() == [1, 2] and best["n_scored"].tolist() == [7, 7]
    )
    mean = relations.language_points(facts, rates, "mean")
    assert mean["rate"].tolist() == pytest.approx([0.4, 0.4]) and mean[["low", "high"]].isna().all(axis=None)
    assert set(mean["layer"]) == {-1}
    fixed = relations.language_points(facts, rates, "depth", 0)
    assert fixed["rate"].tolist() == [0.3, 0.1] and fixed["best_layer"].tolist() == [2, 1]


def test_coefficients_come_with_interval_p_and_n(points: pd.DataFrame) -> None:
    table = relations.coefficients(points, ACCURACY)
    whole = table[table["held_fixed"] == ""]
    assert whole["coefficient"].tolist() == ["pearson", "spearman", "kendall"]
    x, y = points["rate"].to_numpy(), points["accuracy"].to_numpy()
    assert tuple(whole.iloc[0][["r", "low", "high", "n"]]) == pytest.approx(pearson(x, y))
    assert (table["low"] < table["r"]).all() and (table["r"] < table["high"]).all() and table["p"].between(0, 1).all()
    n = table.groupby("held_fixed")["n"].max()
    assert n[""] == n["script"] == 12 and n["resource level"] == points["resource_level"].notna().sum() < 12


def test_a_fact_that_explains_everything_leaves_nothing() -> None:
    scripts = ["Latn"] * 8 + ["Arab"] * 8
    level = np.repeat([0.2, 0.8], 8)
    noise = np.random.default_rng(0).normal(0, 0.05, (2, 16))
    table = language_rows(16).assign(script=scripts, rate=level + noise[0], accuracy=level + noise[1])
    found = relations.coefficients(table, ACCURACY).set_index(["coefficient", "held_fixed"])
    assert found.loc[("pearson", ""), "r"] > 0.9 > 0.6 > abs(found.loc[("pearson", "script"), "r"])


def test_accuracy_and_training_share_are_offered_where_they_are_known(points: pd.DataFrame) -> None:
    assert relations.known_pairs(points) == list(PAIRS)
    assert relations.known_pairs(points.assign(training_share=np.nan)) == ["accuracy"]
    assert [PAIRS[name].other for name in PAIRS] == ["accuracy", "accuracy", "training_share"]


def test_the_line_is_in_the_units_drawn(points: pd.DataFrame) -> None:
    line = relations.fitted_line(points, ACCURACY)
    assert line["x"].min() == pytest.approx(points["rate"].min()) and line["x"].max() == pytest.approx(
        points["rate"].max()
    )
    assert (line["low"] < line["y"]).all() and (line["y"] < line["high"]).all()
    slope, intercept = np.polyfit(points["rate"], points["accuracy"], 1)
    assert line["y"].to_numpy() == pytest.approx(intercept + slope * line["x"].to_numpy())
    ranks = relations.fitted_line(
        points.assign(accuracy=points["accuracy"].where(points.index > 1)), ACCURACY, ranks=True
    )
    assert (ranks["x"].min(), ranks["x"].max()) == (1, 10)
    assert relations.fitted_line(points[:2], ACCURACY).empty


def test_influence_is_the_coefficient_without_the_language(points: pd.DataFrame) -> None:
    table = relations.influence(points, ACCURACY, "spearman")
    others = points[points["language"] != "l03_Latn"]
    expected = spearman(others["rate"].to_numpy(), others["accuracy"].to_numpy())
    found = table[table["language"] == "l03_Latn"].iloc[0]
    assert tuple(found[["r", "low", "high", "n"]]) == pytest.approx(expected) and expected.n == 11
    assert relations.influence(points[:0], ACCURACY).empty


def test_correlation_at_each_layer_and_the_best_of_them(points: pd.DataFrame) -> None:
    noise = np.random.default_rng(1).uniform(size=(12, 6))
    grid = np.column_stack([noise[:, :4], points["accuracy"], noise[:, 4:]])
    found = relations.by_layer(rate_frame(grid), points[::-1], "accuracy")
    assert found.table["layer"].tolist() == list(range(7)) and set(found.table["n"]) == {12}
    assert found.best["layer"].tolist() == [4] and found.best["r"].iloc[0] == pytest.approx(1)
    assert found.best["p"].iloc[0] == found.table["p_best"].iloc[4] < 0.01
    assert (found.table["p_best"] >= found.table["p"]).all()
    assert 0.5 < found.threshold < 0.95
    beyond = found.table["r"].abs() > found.threshold
    assert (found.table["p_best"][beyond] <= 0.05).all() and (found.table["p_best"][~beyond] >= 0.05).all()


def test_languages_that_are_filtered_out_do_not_count(points: pd.DataFrame) -> None:
    grid = np.random.default_rng(2).uniform(size=(12, 3))
    few = points[points["script"] == "Latn"]
    table = relations.by_layer(rate_frame(grid), few, "accuracy").table
    rows = few["language"].str[1:3].astype(int)
    assert table["n"].tolist() == [8] * 3
    assert table["r"][1] == pytest.approx(pearson(grid[rows, 1], few["accuracy"].to_numpy()).r)


def test_nothing_is_defined_over_too_few_languages(points: pd.DataFrame) -> None:
    found = relations.by_layer(rate_frame(np.eye(3)), points[:3], "accuracy")
    assert found.table["r"].isna().all() and found.best.empty and np.isnan(found.threshold)
    assert relations.by_layer(rate_frame(np.eye(3)), points[:0], "accuracy").table["r"].isna().all()


def test_every_metric_with_corrections(points: pd.DataFrame) -> None:
    accuracy = points["accuracy"].to_numpy()
    good = rate_frame(np.column_stack([accuracy, accuracy / 2]), "dali_s")
    poor = rate_frame(np.random.default_rng(3).uniform(size=(12, 2)), "dali")
    table = metric_relations.by_metric(pd.concat([good, poor], ignore_index=True), points, "accuracy")
    assert table[["metric", "rule"]].to_numpy().tolist() == [["dali_s", "max"], ["dali_s", "mean"], ["dali", "max"], ["dali", "mean"]]  # fmt: skip
    assert table["r"][0] == pytest.approx(1) and table["r"][1] == pytest.approx(1)
    grid = poor.pivot_table(index="language", columns="layer", values="rate").to_numpy()
    assert table["r"][2] == pytest.approx(pearson(grid.max(axis=1), accuracy).r)
    assert table["r"][3] == pytest.approx(pearson(grid.mean(axis=1), accuracy).r)
    assert (table["p"] <= table["p_bh"]).all() and (table["p_bh"] <= table["p_holm"]).all()
    assert (table["p"] <= table["p_best"]).all() and table["p_best"][0] < 0.01


def test_one_metric_against_each_other_one(points: pd.DataFrame) -> None:
    rng, accuracy = np.random.default_rng(3), points["accuracy"].to_numpy()
    grids = {"dali_s": accuracy[:, None] + rng.normal(0, 0.05, (12, 2)), "dali": rng.uniform(size=(12, 2))}
    rates = pd.concat([rate_frame(grid, metric) for metric, grid in grids.items()], ignore_index=True)
    found = metric_relations.metric_differences(rates, points, "accuracy", "dali_s")
    assert found[["metric", "rule"]].to_numpy().tolist() == [["dali_s", "mean"], ["dali", "max"], ["dali", "mean"]]
    chosen, other = grids["dali_s"].max(axis=1), grids["dali"].mean(axis=1)
    expected = correlation_difference(chosen, other, accuracy)
    row = found.iloc[2]
    assert [row["difference"], row["low"], row["high"], row["p"], row["n"]] == pytest.approx([*expected])
    assert row["r"] == pytest.approx(pearson(other, accuracy).r)
    assert row["difference"] == pytest.approx(pearson(chosen, accuracy).r - row["r"])
    assert (found["p"] <= found["p_holm"]).all()
    turned = metric_relations.metric_differences(rates, points, "accuracy", "dali", "mean").set_index(
        ["metric", "rule"]
    )
    assert turned["difference"]["dali_s", "max"] == pytest.approx(-row["difference"])


def test_metrics_are_compared_over_the_languages_of_both(points: pd.DataFrame) -> None:
    rng = np.random.default_rng(4)
    grids = {metric: rng.uniform(size=(12, 2)) for metric in ("dali", "mexa", "mexa_t")}
    grids["mexa"][:3], grids["mexa_t"][:] = np.nan, np.nan
    rates = pd.concat([rate_frame(grid, metric) for metric, grid in grids.items()], ignore_index=True)
    found = metric_relations.metric_differences(rates, points, "accuracy", "dali").set_index(["metric", "rule"])
    assert ("mexa_t", "max") not in found.index
    row, accuracy = found.loc["mexa", "max"], points["accuracy"].to_numpy()[3:]
    assert row["n"] == 9 and found.loc["dali", "mean"]["n"] == 12
    assert row["difference"] + row["r"] == pytest.approx(pearson(grids["dali"].max(axis=1)[3:], accuracy).r)
    assert metric_relations.metric_differences(rates, points, "accuracy", "mexa_t").empty


def test_equal_metrics_differ_by_nothing_and_have_no_p(points: pd.DataFrame) -> None:
    grid = np.random.default_rng(5).uniform(size=(12, 2))
    rates = pd.concat([rate_frame(grid, metric) for metric in ("dali", "dali_s")], ignore_index=True)
    row = (
        metric_relations.metric_differences(rates, points, "accuracy", "dali")
        .set_index(["metric", "rule"])
        .loc["dali_s", "max"]
    )
    assert row["difference"] == 0 and np.isnan([row["low"], row["p"], row["p_holm"]]).all()


def test_models_side_by_side(points: pd.DataFrame) -> None:
    both = pd.concat(
        [points.assign(model="b"), points.assign(model="a", accuracy=1 - points["accuracy"])], ignore_index=True
    )
    table = relations.coefficients_by_model(both, ACCURACY)
    assert table["model"].tolist() == ["b"] * 3 + ["a"] * 3
    assert table["r"][:3].to_numpy() == pytest.approx(-table["r"][-3:].to_numpy())
    assert relations.coefficients_by_model(both[:0], ACCURACY).columns.tolist() == table.columns.tolist()


def test_the_accuracy_of_another_run_is_matched_over_code_systems() -> None:
    facts = pd.DataFrame(
        {"language": ["eng_Latn", "ita_Latn", "zho_Hans", "swh_Latn"], "name": list("abcd"), "accuracy": math.nan}
    )
    numbers = {"accuracy_low": 0.1, "accuracy_high": 0.9, "n": 500}
    other = pd.DataFrame({"language": ["sw", "it", "zh"], "accuracy": [0.57, 0.78, 0.74]}).assign(**numbers)
    found = relations.with_accuracy(facts, other, (*relations.ACCURACY, "n"))
    assert found["accuracy"].tolist()[1:] == [0.78, 0.74, 0.57] and found["n"].tolist()[1:] == [500] * 3
    assert math.isnan(found["accuracy"][0]) and found["name"].tolist() == list("abcd")
    assert "n" not in relations.with_accuracy(facts, other)
