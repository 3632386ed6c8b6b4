"""Entry point of the dashboard: page config and navigation, nothing else. Start it with `make run`."""

import streamlit as st

from crossalign.jobs.process import hosted
from crossalign.ui.components import framed

st.set_page_config(page_title="crossalign", page_icon="🧭", layout="wide")
pages = [
    st.Page("dashboard/pages/overview.py", title="Overview", icon=":material/home:", default=True),
    st.Page("dashboard/pages/languages.py", title="Languages", icon=":material/language:"),
    st.Page("dashboard/pages/layers.py", title="Layers", icon=":material/layers:"),
    st.Page("dashboard/pages/instances.py", title="Instances", icon=":material/list:"),
    st.Page("dashboard/pages/instance.py", title="Instance", visibility="hidden"),
    st.Page("dashboard/pages/space.py", title="Space", icon=":material/scatter_plot:"),
    st.Page("dashboard/pages/compare.py", title="Compare", icon=":material/compare_arrows:"),
    st.Page("dashboard/pages/compute.py", title="Compute", icon=":material/play_circle:"),
    st.Page("dashboard/pages/methods.py", title="Methods", icon=":material/menu_book:"),
]
page = st.navigation([p for p in pages if not (hosted() and p.url_path == "compute")])
with framed(page):
    page.run()
