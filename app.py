"""Entry point of the dashboard: page config and navigation, nothing else. Start it with `make run`."""

import streamlit as st

from crossalign.jobs.process import hosted
from crossalign.ui.components import framed

st.set_page_config(page_title="crossalign", page_icon="🧭", layout="wide")
page = st.navigation(
    {
        "": [
            st.Page("pages/views/overview.py", title="Overview", icon=":material/home:", default=True),
            st.Page("pages/views/space.py", title="Space", icon=":material/scatter_plot:"),
            st.Page("pages/views/compare.py", title="Compare", icon=":material/compare_arrows:"),
            *([] if hosted() else [st.Page("pages/views/compute.py", title="Compute", icon=":material/play_circle:")]),
            st.Page("pages/views/methods.py", title="Methods", icon=":material/menu_book:"),
        ],
    }
)
with framed(page):
    page.run()
