"""Languages: does alignment go with accuracy over languages, at which layers, and does it hang on single languages?"""

from dataclasses import replace

import streamlit as st

from crossalign import reference, relations
from crossalign.figures import correlation as more_figures
from crossalign.figures import languages as figures
from crossalign.figures.theme import Measure
from crossalign.findings import FEWEST_LANGUAGES
from crossalign.ui import address, analyses, components, controls, data, metric_parts, selection
from crossalign.ui.estimates import show_estimates

COLOURS = {"none": "nothing", "script": "script", "family": "family", "resource_level": "resource level"}

st.title("Languages")
run = selection.choose_run()
components.run_header(run)
chosen = selection.choose(run, "layer", "accuracy", "filters")
with st.container(horizontal=True):
    pairs = relations.known_pairs(run.languages)
    pair_name = pairs[0]
    if len(pairs) > 1:
        pair_name = controls.choose_one("Compare", pairs, "pair", format_func=lambda p: relations.PAIRS[p].label)
    ranks = controls.choose_one("Scale", ("values", "ranks"), "scale") == "ranks"
    colour = controls.choose_one("Colour by", tuple(COLOURS), "colour", format_func=COLOURS.__getitem__)
pair = relations.PAIRS[pair_name]
points = data.language_points(run, chosen)
coefficient = "spearman" if ranks else "pearson"
rate = f"{selection.metric_label(chosen.metric)} rate, {data.RULES[chosen.rule]}"
of_another = f"Accuracy on {data.run_tables(chosen.accuracy_of).spec.task}" if chosen.accuracy_of else ""
measures = {"accuracy": replace(figures.ACCURACY, label=of_another or "Accuracy")}
measures["rate"] = replace(figures.RATE, label=rate)
measures["training_share"] = Measure("training_share", "Share of the training text", digits=4, ends=(0.0, 1.0))
estimates = analyses.coefficients(run, chosen, pair_name)
whole = estimates[(estimates["coefficient"] == coefficient) & (estimates["held_fixed"] == "")].iloc[0]
enough = whole["n"] >= FEWEST_LANGUAGES


@st.fragment
def scatter() -> None:
    r = components.estimate(whole["r"], whole["low"], whole["high"], int(whole["n"]))
    note = f"{coefficient.title()} r = {r} languages" if enough else ""
    drawing = figures.scatter(
        points, measures[pair.x], measures[pair.y], colour=None if colour == "none" else colour, ranks=ranks,
        fit=relations.fitted_line(points, pair, ranks), note=note,
    )  # fmt: skip
    if picked := components.show(drawing, points, "scatter", run, click=True, by=["language"]):
        address.remember(language=picked[0][0])
        st.switch_page("pages/views/instances.py")
    st.caption("Click a point, or open the table and choose a row, to see the instances of the language.")


def by_layer_and_metric() -> None:
    layers, metrics = analyses.by_layer(run, chosen, pair.other, coefficient)
    st.subheader("At each layer")
    label = f"{coefficient.title()} r with {measures[pair.other].label.lower()}"
    table = layers.table.assign(metric=selection.metric_label(chosen.metric))
    look = {"series": "metric", "best": layers.best, "threshold": layers.threshold}
    drawing = more_figures.correlation_by_layer(table, label=label, **look)
    components.show(drawing, layers.table, "correlation-by-layer", run)
    st.caption(relations.best_layer_in_words(layers))
    metric_parts.show(run, chosen, pair.other, measures[pair.other].label.lower(), metrics, coefficient)


scatter()
if not enough:
    st.info(f"A correlation needs at least {FEWEST_LANGUAGES} languages with both values; here are {whole['n']}.")
else:
    show_estimates(estimates, "r", "value", "coefficients", run)
    st.caption("p by permutation of the languages; with a fact held fixed, by a t test on what a linear fit leaves.")
    if pair_name != "training":
        by_layer_and_metric()
    st.subheader("Without each language")
    without = relations.influence(points, pair, coefficient)
    drawing = more_figures.influence(without, whole["r"], f"{coefficient.title()} r without the language")
    components.show(drawing, without, "influence", run)
st.subheader("Published figures")
if controls.choose_switch(f"Beside {reference.MODEL}", "published"):
    task = controls.choose_one("Task", reference.TASKS, "published-task", default=run.spec.task)
    both = analyses.with_published(run, chosen, task)
    theirs = selection.metric_label(analyses.published_metric(chosen.metric))
    measured = replace(figures.RATE, label=f"{theirs} rate, {data.RULES[chosen.rule]}")
    drawing = figures.scatter(both, measured, figures.ACCURACY, colour="model", ranks=ranks)
    components.show(drawing, both, "published-languages", run)
    found = relations.coefficients_by_model(both, relations.PAIRS["accuracy"])
    show_estimates(found, "r", "value", "published-coefficients", run)
    st.caption(components.plain(f"{reference.CITATION} {reference.CAVEATS[task]} {reference.COVERAGE}"))
components.provenance(run)
