"""The report of a run of translations: what stands in it; the same blocks and page as for any other run."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from crossalign import definitions, description, relations, tables
from crossalign.figures import association, languages
from crossalign.figures.theme import Measure, estimate
from crossalign.findings import FEWEST_LANGUAGES
from crossalign.languages import language
from crossalign.report.blocks import Block, Citation, Listing, Picture, Section, Terms, Words
from crossalign.report.material import one_of
from crossalign.run_tables import RunTables
from crossalign.store.runs import Run
from crossalign.translation import findings
from crossalign.translation import relations as library
from crossalign.translation.findings import BEST, Direction
from crossalign.translation.scores import EXTERNAL
from crossalign.translation.sentences import METRIC, SCALES, quality
from crossalign.translation.tables import RATES, SCORES, matching_alignment

SCORED = (
    "chrF++ and BLEU are corpus scores from 0 to 100 with 95 % bootstrap intervals over sentences; COMET and COMETKIWI, "
    "where they were imported, are means of sentences. A rate is the share of the outputs that are in a wrong language or "
    "script, a copy of the source, empty, or cut at the length limit."
)

EFFECT = "difference"
"""Of `relations.EFFECTS`: in points of the score, as findings tell it."""


def titles(run: Run) -> tuple[str, str]:
    """Title and subtitle of the report."""
    spec, how = run.spec, run.spec.translation
    done = f"{run.facts.get('n')} sentences × {len(run.languages())} directions"
    prompt = f", {how.prompt} prompt, greedy" if how else ""
    pivot = language(spec.pivot).name
    return f"{spec.model_name} translates {spec.task}", f"{spec.shots} examples{prompt} · {done} · pivot {pivot}"


def sections(run: Run, metric: str = "", pooling: str = "") -> list[Section]:
    """The whole report of a translation run, beside the newest alignment of the same sentences.

    Raises:
        UserError: the alignment has no such pooling, or a metric other than MEXA is asked for.
    """
    one_of("metric", metric, [METRIC], run)
    alignment = matching_alignment(run.folder.parent, run)
    rates = tables.rates(alignment or run, alignment.languages() if alignment else [])
    rates = rates[rates["metric"] == METRIC]
    pooling = one_of("pooling", pooling, list(dict.fromkeys(rates["pooling"])), run)
    rates = rates[rates["pooling"] == pooling]
    found = findings.directions(run, alignment, quality(run), rates, pooling)
    told = [Words(f.text, f.topic) for direction in found for f in findings.told(direction)]
    if alignment is None:
        told.append(Words("Alignment of the same sentences by the same model.", "Not in this cache"))
    about = (
        [Words(f"MEXA is that among the {alignment.facts.get('n')} sentences of {alignment.run_id}.")]
        if alignment
        else []
    )
    mexa = definitions.metrics(0, int((alignment or run).facts.get("n") or 0), (METRIC,))
    parts = [
        ("findings", "Findings", [*told, *about]),
        *((d.direction, d.label[:1].upper() + d.label[1:], _direction(d)) for d in found),
        ("definitions", "Definitions", [Words(SCORED), Terms((*mexa, *definitions.STATISTICS))]),
        ("provenance", "Provenance", _provenance(run)),
        ("citations", "Citations", [Citation(text) for text in description.citations(_as_tables(run))]),
    ]
    return [Section(anchor, title, tuple(blocks)) for anchor, title, blocks in parts if blocks]


def _direction(of: Direction) -> list[Block]:
    """Quality of the languages, beside alignment where it is known."""
    if not of.score:
        return []
    digits, ends = (3, None) if of.score in EXTERNAL else (1, (0.0, 100.0))
    label = f"{SCALES[of.score]} {of.label}"
    measure = Measure(of.score, label, f"{of.score}_low", f"{of.score}_high", digits, ends)
    blocks = _against_alignment(of, measure) if "rate" in of.languages else []
    if not blocks:
        drawn = languages.strip(of.languages, [measure])
        blocks = [Picture(drawn, "Each language with its 95 % interval.", of.languages, "directions")]
    known = [c for m in (*SCORES, *RATES) for c in (m, f"{m}_low", f"{m}_high")]
    return [*blocks, Listing(of.languages[["language", "name", "n", *known]], "Scores, and shares of faulty outputs.")]


def _against_alignment(of: Direction, measure: Measure) -> list[Block]:
    known = of.languages[of.languages["rate"].notna() & of.languages[of.score].notna()]
    if known.empty:
        return []
    pair = relations.Pair("rate", of.score, "")
    estimates = relations.coefficients(known, pair)
    whole = estimates.iloc[0]
    note = f"Pearson r = {estimate(whole['r'], whole['low'], whole['high'], 2)}, n = {whole['n']} languages"
    note = note if whole["n"] >= FEWEST_LANGUAGES else ""
    rate = replace(languages.RATE, label=f"MEXA, {BEST}")
    drawn = languages.scatter(known, rate, measure, fit=relations.fitted_line(known, pair), note=note)
    about = "A point per language, with 95 % intervals; the line is a least-squares fit with the band of its mean."
    listed = Listing(
        relations.worded(estimates), "p by permutation; with a fact held fixed, by a t test on what a fit leaves."
    )
    return [Picture(drawn, about, known, "directions"), listed, *_of_sentences(of, measure)]


def _of_sentences(of: Direction, measure: Measure) -> list[Block]:
    points = of.points[of.points["aligned"].notna() & of.points[of.score].notna()]
    if points.empty:
        return []
    names = dict(zip(of.languages["language"], of.languages["name"], strict=True))
    sides, effects = library.means_by_alignment(points, of.score), library.by_language(points, of.score, EFFECT)
    for table in (sides, effects):
        table.insert(1, "name", table["language"].map(names))
    pooled = library.over_languages(points, of.score, EFFECT)
    whole = pd.DataFrame([("all languages", *pooled)], columns=["name", "estimate", "low", "high", "p", "n"])
    effect = library.EFFECTS[EFFECT]
    return [
        Picture(
            association.aligned_versus_not(sides, measure.label, ends=measure.ends),
            "Aligned and not aligned sentences.",
            sides,
        ),
        Picture(
            association.forest(effects, effect.label, pooled=whole),
            effect.about,
            pd.concat([effects, whole], ignore_index=True),
        ),
    ]


def _as_tables(run: Run) -> RunTables:
    """The run for `description`, which speaks of parts: a row for each."""
    ends = {part: " to ".join(language(code).name for code in part.split("-", 1)) for part in run.languages()}
    return RunTables(run, (), pd.DataFrame(ends.items(), columns=["language", "name"]), tables.rates(run, []))


def _provenance(run: Run) -> list[Block]:
    described = _as_tables(run)
    settings = pd.DataFrame(description.settings(described, shared=True).items(), columns=["setting", "value"])
    about = "Each direction: what was counted, where and with what."
    return [Listing(settings), Listing(description.parts_table(described), about)]
