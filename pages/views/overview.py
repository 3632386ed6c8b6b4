"""Overview: the cached runs, and one run's findings in plain sentences."""

import streamlit as st

from crossalign.ui import components, data, selection

st.title("Overview")
run = selection.choose_run()
components.run_header(run)
chosen = selection.choose(run, "layer", "filters")
components.show_table(data.language_points(run, chosen))
components.provenance(run)
