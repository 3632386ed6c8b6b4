"""Languages: does alignment go with accuracy over languages, at which layers, and does it hang on single languages?"""

from dataclasses import replace

import streamlit as st

from crossalign import reference, relations
from crossalign.figures import correlation as more_figures
from crossalign.figures import languages as figures
from crossalign.figures.theme import Measure
from crossalign.ui import address, analyses, components, controls, data, selection
from crossalign.ui.estimates import show_estimates

COLOURS = {"none": "nothing", "script": "script", "family": "family", "resource_level": "resource level"}

st.title("Languages")
run = selection.choose_run()
components.run_header(run)
chosen = selection.choose(run, "layer", "accuracy", "filters")
with st.container(horizontal=True, vertical_alignment="bottom"):
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
measures = {
    "accuracy": replace(figures.ACCURACY, label=of_another or "Accuracy"),
    "rate": Measure("rate", rate, "low", "high"),
}
measures["training_share"] = Measure("training_share", "Share of the training text", digits=4)
estimates = analyses.coefficients(run, chosen, pair_name)
whole = estimates[(estimates["coefficient"] == coefficient) & (estimates["held_fixed"] == "")].iloc[0]


@st.fragment
def scatter() -> None:
    note = f"{coefficient.title()} r = {components.estimate(whole['r'], whole['low'], whole['high'], int(whole['n']))} languages"
    drawing = figures.scatter(
        points, measures[pair.x], measures[pair.y], colour=None if colour == "none" else colour, ranks=ranks,
        fit=relations.fitted_line(points, pair, ranks), note=note,
    )  # fmt: skip
    picked = components.show(drawing, points, "scatter", run, click=True, by=["language"])
    if picked:
        address.remember(language=picked[0][0])
        st.switch_page("pages/views/instances.py")
    st.caption("Click a point, or open the table and choose a row, to see the instances of the language.")


scatter()
show_estimates(estimates, "r", "value", "coefficients", run)
st.caption(
    "p by permutation of the languages; with a fact on the languages held fixed, by a t test on what a linear fit leaves."
)
against = measures[pair.other].label.lower()
if pair_name != "training":
    layers, metrics = analyses.by_layer(run, chosen, pair.other, coefficient)
    st.subheader("At each layer")
    label = f"{coefficient.title()} r with {against}"
    drawn = layers.table.assign(metric=selection.metric_label(chosen.metric))
    drawing = more_figures.correlation_by_layer(
        drawn, series="metric", best=layers.best, threshold=layers.threshold, label=label
    )
    components.show(drawing, layers.table, "correlation-by-layer", run)
    st.caption(relations.best_layer_in_words(layers))
    st.subheader("Every metric")
    show_estimates(metrics, "r", coefficient.title(), "metrics", run)
    st.caption("The corrected p answer for having looked at all rows of this table.")
st.subheader("Without each language")
without = relations.influence(points, pair, coefficient)
drawing = more_figures.influence(without, whole["r"], f"{coefficient.title()} r without the language")
components.show(drawing, without, "influence", run)
st.subheader("Published figures")
if controls.choose_switch(f"Beside {reference.MODEL}", "published"):
    task = controls.choose_one("Task", reference.TASKS, "published-task", default=run.spec.task)
    both = analyses.with_published(run, chosen, task)
    drawing = figures.scatter(both, measures["rate"], figures.ACCURACY, colour="model", ranks=ranks)
    components.show(drawing, both, "published-languages", run)
    found = relations.coefficients_by_model(both, relations.PAIRS["accuracy"])
    show_estimates(found, "r", "value", "published-coefficients", run)
    st.caption(components.plain(f"{reference.CITATION} {reference.CAVEATS[task]} {reference.COVERAGE}"))
components.provenance(run)
