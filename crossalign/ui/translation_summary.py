"""The section of the overview on translations: which runs there are, and the findings of one."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

import streamlit as st

from crossalign.findings import Finding
from crossalign.translation import findings
from crossalign.ui import components, summary, translations
from crossalign.ui.translations import Key, Translated, load


@st.cache_resource(max_entries=8, show_spinner="Reading the sentences of all languages …")
def _findings(key: Key) -> list[Finding]:
    run = load(*key)
    pooling = run.alignment.spec.poolings[0] if run.alignment else ""
    rates = run.rates[run.rates["pooling"] == pooling]
    found = findings.directions(run.run, run.alignment, run.quality, rates, pooling)
    return [finding for direction in found for finding in findings.told(direction)]


def findings_of(run: Translated) -> list[Finding]:
    """What a run of translations shows, at each language's best layer and under the first pooling."""
    return _findings(run.key)


def show() -> None:
    """Runs with translations, and the findings of the newest or of that which was chosen; nothing without any."""
    runs, problems = translations.runs_with_translations()
    for problem in problems:
        st.warning(components.plain(problem))
    if runs.empty:
        return
    st.subheader("Translations", anchor="translations")
    run = translations.opened(translations.choose_among(runs) if len(runs) > 1 else runs["run"].iloc[0])
    summary.show_findings(findings_of(run), lambda **query: {"translations": run.run_id} | query)
    if run.alignment is None:
        st.caption("There is no alignment of the same sentences to set quality against: the page Translation says how.")
    column = st.column_config
    components.show_table(
        runs[["model", "task", "done", "directions", "instances", "protocol", "computed", "run"]],
        key="translation-runs",
        alt="The cached runs with translations",
        column_config={
            "done": column.NumberColumn("languages", help="with translations or their scores"),
            "instances": column.NumberColumn("sentences"),
            "computed": column.DatetimeColumn("started (UTC)", format="YYYY-MM-DD HH:mm"),
        },
    )
