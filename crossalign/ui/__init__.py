'''What the pages share. How a page is written (at most 90 lines; calculations and figures live elsewhere):

    """Layers: at which layers a language is aligned."""

    import streamlit as st

    from crossalign.figures import layers as figures
    from crossalign.ui import components, controls, data, selection

    st.title("Layers")
    run = selection.choose_run()                      # side bar; ends the page with the next step on an empty cache
    components.run_header(run)
    chosen = selection.choose(run, "languages")       # side bar: metric, pooling; here: the groups named
    depth = controls.choose_switch("Relative depth", "relative")  # a control of this page; its key stands in the URL

    curves = data.curves(run, chosen, chosen.languages)           # a frame, cached, read-only
    components.show(figures.curves(curves, relative=depth), curves, "curves", run)
    components.provenance(run)

and one line in `app.py`: `st.Page("pages/views/layers.py", title="Layers", icon=":material/layers:")`. (The files lie one
folder down, where Streamlit's older navigation, which finds pages by itself, does not look.)

- Widgets come from `controls` and `selection` only: their values stand in the URL, survive a change of page under the
  same key, and are always among the values offered. Two pages that mean the same thing use the same key. Any other
  widget (a toggle that opens a table) needs a key and is not in the link.
- Language level: `data.language_points` (one row per language), `data.curves` (by layer), `run.languages`, `run.rates`.
- Instance level: `instances.instance_points` (one language), `instances.all_instance_points` (all), `texts_of`,
  `margins_of`, `similarity_of`. Never change what they return: it is shared between sessions. What takes more than
  50 ms more goes into an `st.cache_resource` function with `max_entries`, whose arguments are
  `(run.run.folder, run.version, strings and numbers)` and whose body calls `data.load_run` (see `instances`).
- A mistake the reader can put right is raised as `UserError`: `frame.framed` shows it in place of the page.
- Text from data or the URL: `components.plain` where Markdown is read (nearly everywhere: markdown, caption, info,
  labels of options); tables and `st.text` show it as it is; `st.html` only with `html.escape` (and `dir="auto"`).
- To another page: `st.page_link("pages/views/instances.py", label=..., query_params=chosen.link(language="swh_Latn"))`; after
  a click in a chart or table `address.remember(language=code)`, then `st.switch_page("pages/views/instances.py")`. On the page
  itself: `st.session_state["language"] = code` in the `on_click` of a button.
- A clickable chart and what depends on it sit in one `@st.fragment` function, with `components.show(..., click=True)`,
  which returns the customdata of the chosen points; the same rows also in a table, for the keyboard.
- Numbers read "0.81 [0.76, 0.86], n = 500": `components.estimate`.
- Tests: `tests/test_app.py` (AppTest) runs every page on a whole, empty, partial, outdated and hostile cache.
'''
