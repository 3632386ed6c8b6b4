"""Entry point of the dashboard: page config and navigation, nothing else. Start it with `make run`."""

import streamlit as st

if __name__ == "__main__":  # run for every view
    from crossalign.jobs.process import hosted
    from crossalign.ui.frame import framed

    st.set_page_config(page_title="crossalign", page_icon="🧭", layout="wide")
    pages = [
        st.Page("pages/views/overview.py", title="Overview", icon=":material/home:", default=True),
        st.Page("pages/views/languages.py", title="Languages", icon=":material/language:"),
        st.Page("pages/views/layers.py", title="Layers", icon=":material/layers:"),
        st.Page("pages/views/instances.py", title="Instances", icon=":material/list:"),
        st.Page("pages/views/instance.py", title="Instance", visibility="hidden"),
        st.Page("pages/views/translation.py", title="Translation", icon=":material/translate:"),
        st.Page("pages/views/sentence.py", title="Sentence", visibility="hidden"),
        st.Page("pages/views/space.py", title="Space", icon=":material/scatter_plot:"),
        st.Page("pages/views/compare.py", title="Compare", icon=":material/compare_arrows:"),
        st.Page("pages/views/compute.py", title="Compute", icon=":material/play_circle:"),
        st.Page("pages/views/methods.py", title="Methods", icon=":material/menu_book:"),
    ]
    page = st.navigation([p for p in pages if not (hosted() and p.url_path == "compute")])
    with framed(page):
        page.run()
else:  # imported once, by the server before it serves
    from streamlit.runtime.pages_manager import PagesManager

    # Otherwise Streamlit takes the folder `pages` for its older kind of navigation until this file has run once, and
    # answers a link to a page that comes first with "Page not found".
    PagesManager.uses_pages_directory = False
    app = st.App(__file__)
