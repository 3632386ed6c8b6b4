"""Whether alignment goes with being right: one analysis at a time, under a sound rule or as the paper has it."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOptionalMemberAccess=false

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from crossalign import correctness, effects
from crossalign.figures import association
from crossalign.figures import correctness as figures
from crossalign.figures.theme import Measure
from crossalign.ui import components, controls, selection
from crossalign.ui import effects as read
from crossalign.ui.data import RunTables, Selection, layer_of
from crossalign.ui.estimates import show_estimates

NARROW = 360
"""Pixels below which two figures stand one below the other."""

TESTS = {"sound": "sound", "published": "as published"}

ALL_LAYERS = {"layers": "best of all layers"}
"""For Δ only."""


def missing_answers(run: RunTables, whose: str) -> str:
    """Why of no instance of a language, or of all, it is known whether it is right, and what there is instead."""
    if not run.facts.get("n_options"):
        return "This task has no answers to be right or wrong, so there is nothing to compare alignment with."
    return (
        f"Accuracy of {whose} was imported as a whole, so it is not known which instances were answered right. The page "
        "of languages compares alignment with it; logs of lm-evaluation-harness with samples would add the instances."
    )


def show(run: RunTables, chosen: Selection, whose: str, points: pd.DataFrame) -> None:
    """The controls, and the analysis that is chosen.

    Args:
        whose: a language, or `effects.ALL`.
        points: its instances at the chosen layer.
    """
    kind = controls.choose_one(
        "Analysis", list(ANALYSES), "analysis", format_func=lambda k: ANALYSES[k][0], buttons=True
    )
    effect = test = ""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if kind == "effect":
            offered = effects.known_effects(points)
            effect = controls.choose_one("Effect", offered, "effect", format_func=lambda e: effects.EFFECTS[e].short)
        if kind != "pivot":
            tests = TESTS | (ALL_LAYERS if effect == "delta" else {})
            test = controls.choose_one("Rule", list(tests), "test", format_func=tests.__getitem__)
    if test:
        st.caption(components.plain(rule_in_words(run, chosen, whose, kind, effect, test)))
    analysis = ANALYSES[kind][1]
    if analysis is None:
        _effect(run, chosen, whose, effect, test)
    else:
        analysis(run, chosen, whose, test)


def rule_in_words(run: RunTables, chosen: Selection, whose: str, kind: str, effect: str, test: str) -> str:
    """At which layer instances are looked at, and how they are tested."""
    if test == "layers":
        return (
            "Each language at the layer where Δ is most extreme; p by permutation of the cohorts, against the most extreme "
            "of all layers. The interval is that of the layer alone. There is no pooled value."
        )
    best = f"layer {layer_of(run, chosen, whose)}" if whose != read.ALL else "its best layer"
    fixed = chosen.rule in ("layer", "depth")
    at = f"At layer {chosen.fixed_layer(run.n_layers)}" if fixed else f"Each language at {best}, over all its instances"
    if test == "published":
        told = "Δ tested one-sided (z of two proportions), " if effect == "delta" else ""
        more = ", languages not pooled" if effect else ""
        return f"{at}." if kind == "model" else f"{at}; {told}instances taken as independent{more}."
    if not fixed:
        splits = f", over {read.SPLITS} halvings" if effect == "delta" else ""
        at = f"Each instance at the layer where most instances of the other half are aligned (often the best one{splits})"
    sides = "two-sided, " if effect else ""
    return f"{at}; {sides}questions on one passage and one question in several languages count as one unit."


def _effect(run: RunTables, chosen: Selection, whose: str, effect: str, test: str) -> None:
    about = effects.EFFECTS[effect]
    found = read.effects_of(run, chosen, effect, test)
    read.show_summary(found, about.short, chosen.language, run.name(chosen.language))
    pair = st.grid(2, min_column_width=NARROW)
    with pair.cell():
        counts = effects.crossed(read.tested_points(run, chosen, test, whose))
        st.caption(components.plain(f"Instances of {_named(run, whose)}"))
        components.show(association.two_by_two(counts), counts, "crossed", run)
    with pair.cell():
        st.caption(components.plain(about.label))
        estimate = found.pooled.estimate
        pooled = pd.DataFrame([(correctness.ALL, *estimate)], columns=["name", "estimate", "low", "high", "p", "n"])
        drawn = association.forest(found.languages, about.label, null=about.null, log=about.log, pooled=pooled)
        components.show(drawn, found.languages, "forest", run, on_click=selection.go_to_language)
    st.caption(components.plain(about.about))


def _needed(run: RunTables, chosen: Selection, whose: str, test: str) -> None:
    """P(correct | aligned) and P(aligned | correct), each beside what it is to be compared with."""
    table = read.table_of(run, chosen, "needed", test)
    pair = st.grid(2, min_column_width=NARROW)
    for name, title, label, one, other in (
        ("enough", "Enough? Accuracy of aligned and of not aligned instances", "Accuracy", ALIGNED, NOT_ALIGNED),
        ("needed", "Needed? Alignment of right and of wrong instances", "Alignment rate", RIGHT, WRONG),
    ):
        with pair.cell():
            st.caption(title)
            drawn = association.aligned_versus_not(table, label, measures=(one, other))
            columns = ["language", "name"]
            columns += [c for m in (one, other) for c in (m.column, m.low, m.high, f"n_{m.column}") if c]
            components.show(drawn, table[columns], name, run, on_click=selection.go_to_language)
    st.caption(
        "Alignment would be enough if all aligned instances were right (1 on the left), and needed if all right instances "
        "were aligned (1 on the right). The grey ring shows what to compare with."
    )


ALIGNED = Measure("correct_if_aligned", "aligned", "correct_if_aligned_low", "correct_if_aligned_high")
NOT_ALIGNED = Measure("correct_if_not", "not aligned", "correct_if_not_low", "correct_if_not_high")
RIGHT = Measure("aligned_if_correct", "right", "aligned_if_correct_low", "aligned_if_correct_high")
WRONG = Measure("aligned_if_wrong", "wrong", "aligned_if_wrong_low", "aligned_if_wrong_high")


def _confidence(run: RunTables, chosen: Selection, whose: str, test: str) -> None:
    points = read.tested_points(run, chosen, test, whose)
    if not (points["cohort"].notna() & points["logprob_margin"].notna()).any():
        st.info("This needs log-likelihoods of the options, and answers in the pivot.", title="Not known of this run")
        return
    table = correctness.confidence(points, independent=test == "published")
    st.caption(
        components.plain(
            f"Instances of {_named(run, whose)}: log-likelihood of the gold option less that of the best other"
        )
    )
    components.show(figures.confidence(table), table, "confidence", run)


def _pivot(run: RunTables, chosen: Selection, whose: str, test: str) -> None:
    table = read.table_of(run, chosen, "pivot")
    if not table["n"].sum():
        st.info("This run holds no answers of the pivot to the same instances.", title="Not known of this run")
        return
    components.show(figures.against_pivot(table), table, "pivot", run, on_click=selection.go_to_language)
    shown = table.rename(columns={"difference": "value"})
    wanted = ["name", "pivot_accuracy", "accuracy", "value", "low", "high", "p", "mcnemar", "p_holm", "p_bh", "n"]
    show_estimates(shown[wanted], "value", "pivot − language", "gaps", run)
    st.caption(
        "p of no difference on the same instances, clustered by passage where there are passages; McNemar's exact test beside it."
    )


def _model(run: RunTables, chosen: Selection, whose: str, test: str) -> None:
    table, spread = read.over_all(run, chosen, test)
    show_estimates(table, "odds_ratio", "odds ratio", "model", run)
    known = [f"{row.spread} {row.sd:.2f}" for row in spread.itertuples() if row.sd == row.sd]
    st.caption(
        "Of a right answer, all languages together; 1 is no effect. The model is a logistic regression with a random intercept "
        "for each language and each question, by Laplace's approximation. "
        + (
            f"Standard deviation of the intercepts in log odds: {', '.join(known)}."
            if known
            else "It could not be fitted."
        )
    )


def _named(run: RunTables, whose: str) -> str:
    return whose if whose == read.ALL else run.name(whose)


ANALYSES: dict[str, tuple[str, Callable[[RunTables, Selection, str, str], None] | None]] = {
    "effect": ("Effect", None),
    "needed": ("Needed or enough", _needed),
    "confidence": ("Confidence", _confidence),
    "pivot": ("Against the pivot", _pivot),
    "model": ("All languages", _model),
}
"""Name of an analysis → how it is called, and what shows it."""
