"""Methods: what the numbers mean, how the run on screen was computed, and who to cite."""

import math

import streamlit as st

from crossalign import definitions, description
from crossalign.jobs.process import hosted
from crossalign.ui import components, reading, selection


def define(entries: list[definitions.Definition]) -> None:
    """One definition after the other."""
    for entry in entries:
        lines = [f"**{components.plain(entry.label)}**. {components.plain(entry.summary)}"]
        for heading, text in entry.items:
            lines.append(f"- {f'*{heading}*: ' if heading else ''}{components.plain(text)}")
        if not math.isnan(entry.chance):
            lines.append(f"- *Chance in this run*: {entry.chance:.3g}")
        st.markdown("\n".join(lines[:1]) + "\n\n" + "\n".join(lines[1:]))


st.title("Methods")
run = selection.choose_run()
components.run_header(run)

st.markdown(
    "[This run](#run) · [Alignment](#alignment) · [Scoring](#scoring) · [Statistics](#statistics) · [Citations](#citations)"
)
st.subheader("This run", anchor="run")
st.markdown(components.plain(description.protocol(run)))
reading.show_facts(description.settings(run, hosted()))
if command := description.command(run, hosted()):
    st.caption("The command that computes it, or goes on with it:")
    st.code(command, language="bash", wrap_lines=True)
parts = description.parts_table(run)
components.show_table(parts)
with st.container(horizontal=True, gap="small"):
    components.files(parts, f"{run.run_id}_provenance")

st.subheader("Alignment", anchor="alignment")
st.markdown(
    "s\\_ij is the cosine between option i in the pivot and option j in the language at one layer. An instance is aligned "
    "where the margin is above 0; a tie is not aligned, and a margin that is undefined is left out, never counted as 0."
)
define(definitions.metrics(description.n_options(run), description.n_instances(run), description.metric_names(run)))
define([*definitions.BESIDE, definitions.poolings()])
st.subheader("Scoring", anchor="scoring")
define(list(definitions.SCORING))
st.subheader("Statistics", anchor="statistics")
st.markdown("Every interval is at 95 %.")
define(list(definitions.STATISTICS))

st.subheader("Citations", anchor="citations")
for citation in description.citations(run):
    st.markdown(f"- {components.plain(citation)}")
components.provenance(run)
