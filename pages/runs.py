"""The cached runs, and one run's accuracy and alignment per language."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas and Streamlit return unions that say nothing about the frame at hand.)

import streamlit as st

from crossalign.figures.languages import accuracy_by_alignment
from crossalign.schema import UserError
from crossalign.ui import components, data

st.title("Runs")
cache = data.cache_folder()
overview, problems = data.overview(cache, data.stamp(cache))
for problem in problems:
    st.warning(components.plain(problem))
if overview.empty:
    st.info("No runs are cached yet. Compute one from the command line, then reload this page:")
    st.code("python -m crossalign run --model MODEL --task xcopa", language="bash")
    st.stop()

st.dataframe(overview, hide_index=True, width="stretch")
ids = overview["run"].tolist()
run_id = st.selectbox("Run", ids, key="run", bind="query-params", help="The link to this page keeps the choice.")

try:
    tables = data.run_tables(cache, run_id, data.stamp(cache / run_id))
except UserError as error:
    st.error(components.plain(str(error)))
    st.stop()

st.caption(components.description(tables))
for sentence in tables.missing:
    st.caption(components.plain(sentence))
if tables.rates.empty:
    if not tables.missing:
        st.info("Only the pivot is computed so far; alignment needs at least one more language.")
    st.dataframe(tables.languages, hide_index=True, width="stretch")
    st.stop()

left, right = st.columns(2)
metrics = tables.rates["metric"].unique().tolist()
metric = left.selectbox(
    "Alignment metric", metrics, format_func=components.metric_label, key="metric", bind="query-params"
)
pooling = right.selectbox("Pooling", tables.poolings, key="pooling", bind="query-params")

table = components.language_table(tables, metric, pooling)
st.subheader("Accuracy and alignment per language")
if tables.languages["accuracy"].notna().any():
    st.plotly_chart(
        accuracy_by_alignment(table, components.metric_label(metric)),
        width="stretch",
        alt=f"Scatter of accuracy against {components.metric_label(metric)} at its best layer, one point per language",
    )
st.dataframe(table, hide_index=True, width="stretch", column_config=components.columns())
st.caption(components.reading_aid(tables, metric))
st.download_button("Download as CSV", table.to_csv(index=False), f"{run_id}_{metric}.csv", "text/csv")
