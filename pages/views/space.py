"""Space: the states of options or premises at a layer, in two dimensions."""

import numpy as np
import streamlit as st

from crossalign.figures import space as figures
from crossalign.ui import components, controls, selection, states
from crossalign.ui.selection import WIDE

COUNTS = (20, 50, 100, 200)
FEW = 4

st.title("Space")
run = selection.choose_run()
components.run_header(run)
chosen = selection.choose(run)
kept = states.kept(run, chosen.pooling)
if not kept:
    command = states.command(run)
    how = "The same command with `--keep-states` adds them to this run (the texts are run again):"
    st.info(
        "A map needs the hidden states, which take much room and are kept only when asked for. "
        + (how if command else "Results that were computed elsewhere come without them."),
        title="This run kept no hidden states",
    )
    if command:
        st.code(command, language="bash", wrap_lines=True)
    components.provenance(run)
    st.stop()

pivot = run.spec.pivot
others = [code for code in kept if code != pivot]
with st.container(horizontal=True, vertical_alignment="bottom"):
    picked = controls.choose_several(
        "Languages", others, "languages", most=selection.MOST_LANGUAGES, format_func=lambda c: selection.named(run, c),
        placeholder="the first few",
    )  # fmt: skip
    kinds = list(states.WHAT) if run.facts.get("n_options") else ["premises"]
    what = controls.choose_one("States of", kinds, "what", format_func=states.WHAT.__getitem__)
    n = controls.choose_one("Instances", COUNTS, "count", default=50)
    method = "pca"
    if len(states.METHODS) > 1:
        method = controls.choose_one("Map", list(states.METHODS), "map", format_func=states.METHODS.__getitem__)
with st.container(horizontal=True, vertical_alignment="bottom"):
    layer = selection.choose_layer(run)
    shape = controls.choose_one("Shape tells", ["gold", "option"], "shape") if what == "options" else ""
    centred = controls.choose_switch(
        "Centre each language",
        "centred",
        help="Takes the mean of each language away, so that it has no place of its own",
    )
languages = ((pivot,) if pivot in kept else ()) + (picked or tuple(others[:FEW]))
found = states.state_map(run, languages, chosen.pooling, layer, n, what, method, centred)


@st.fragment
def show_map() -> None:
    """The map; a click on a state joins all translations of its instance by a strong line."""
    ids = found.points["instance_id"].drop_duplicates().tolist()
    marked = controls.choose_one("Instance to mark", ["", *ids], "mark", format_func=lambda i: i or "none", width=WIDE)
    drawing = figures.state_map(
        found.points, shape=shape, pivot=pivot, highlight=marked or None, label=found.label, note=found.note
    )
    rows = components.show(drawing, found.points, "space", run, click=True)
    for code, instance in found.points.iloc[_positions(rows)][["language", "instance_id"]].to_numpy().tolist():
        if code == pivot:
            st.markdown(components.plain(f"Instance {instance}, in the pivot"))
            continue
        text = f"Instance {instance} in {run.name(code)}"
        st.markdown(components.plain(text))
        components.link("instance", chosen.link(language=code, instance=instance), "Look at this instance")


def _positions(rows: list) -> list[int]:
    return [row for row in np.ravel(rows[:1]).astype(int).tolist() if 0 <= row < len(found.points)]


show_map()
joined = "Translations are joined with their point in the pivot. "
st.caption(
    (joined if figures.joins_all(found.points, pivot) else "")
    + "Two dimensions leave much out: what lies near here may be far "
    "apart in the space of all dimensions, which is where alignment is decided."
)
components.provenance(run)
