"""Entry point of the dashboard: page config and navigation, nothing else. Start it with `make run`."""

import streamlit as st

st.set_page_config(page_title="crossalign", page_icon="🧭", layout="wide")
st.navigation([st.Page("pages/runs.py", title="Runs", icon=":material/table_chart:", default=True)]).run()
