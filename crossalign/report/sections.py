"""What stands in a report, section by section; each leaves out what the run cannot tell."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from crossalign import correctness, definitions, description, effects, findings, metric_relations, profiles, relations
from crossalign.figures import association, correlation, instances, languages, layers
from crossalign.figures.theme import Measure, estimate
from crossalign.findings import FEWEST_LANGUAGES, About
from crossalign.imported import missing
from crossalign.relations import PAIRS, RULES
from crossalign.report.blocks import Block, Citation, Code, Listing, Picture, Section, Terms, Words
from crossalign.report.material import Material, all_decided

ACCURACIES = (
    Measure("correct_if_aligned", "aligned", "correct_if_aligned_low", "correct_if_aligned_high"),
    Measure("correct_if_not", "not aligned", "correct_if_not_low", "correct_if_not_high"),
)
"""Accuracy where aligned and where not, as `correctness.conditional_shares` names them."""


def sections(material: Material) -> list[Section]:
    """The whole report, without sections that would be empty."""
    parts = (
        ("findings", "Findings", _findings(material)),
        ("languages", "Languages", _languages(material)),
        ("layers", "Layers", _layers(material)),
        ("instances", "Instances", _instances(material)),
        ("definitions", "Definitions", _definitions(material)),
        ("provenance", "Provenance", _provenance(material)),
        ("citations", "Citations", [Citation(text) for text in description.citations(material.run)]),
    )
    return [Section(anchor, title, tuple(blocks)) for anchor, title, blocks in parts if blocks]


def _findings(m: Material) -> list[Block]:
    about = About(m.label, RULES["max"], RULES["max"], m.run.spec.pivot, m.run.n_layers)
    told = findings.told(m.run.languages, m.points, m.points, m.instances, about)
    lacking = [Words(sentence, "Not in this run") for sentence in missing(m.run.run)]
    if m.run.missing:
        names = ", ".join(m.run.name(code) for code in m.run.missing)
        lacking.append(Words(f"{names}.", "Not computed yet"))
    return [*(Words(f.text, f.topic) for f in told), *lacking]


# --- languages ---------------------------------------------------------------------------------------------------


def _languages(m: Material) -> list[Block]:
    rate = replace(languages.RATE, label=f"{m.label} rate, {RULES['max']}")
    both = len(m.points) and m.points["accuracy"].notna().any()
    blocks: list[Block] = _against_accuracy(m, rate) if both else []
    measure, table = (rate, m.points) if len(m.points) else (languages.ACCURACY, m.run.languages)
    if not both and table[measure.column].notna().any():
        caption = f"{measure.label} of each language with its 95 % interval."
        blocks.append(Picture(languages.strip(table, [measure]), caption, table, "languages"))
    return [*blocks, Listing(_facts(m), "All languages; the pivot has no alignment with itself.")]


def _facts(m: Material) -> pd.DataFrame:
    """What is known of each language, and its rate of the metric at its best layer."""
    wanted = ["language", "name", "script", "family", "resource_level", "training_share", "n", "accuracy"]
    facts = m.run.languages[[*wanted, "accuracy_low", "accuracy_high"]]
    if not len(m.points):
        return facts
    found = m.points[["language", "best_layer", "rate", "low", "high", "relabelled_rate", "mean_rate"]]
    return facts.merge(found, on="language", how="left").astype({"best_layer": "Int16"})


def _against_accuracy(m: Material, rate: Measure) -> list[Block]:
    pair = PAIRS["accuracy"]
    estimates = relations.coefficients(m.points, pair)
    whole = estimates.iloc[0]
    about = "Each language at its best layer, with 95 % intervals"
    if whole["n"] < FEWEST_LANGUAGES:
        return [Picture(languages.scatter(m.points, rate, languages.ACCURACY), f"{about}.", m.points, "languages")]
    note = f"Pearson r = {estimate(whole['r'], whole['low'], whole['high'], 2)}, n = {whole['n']} languages"
    fit = relations.fitted_line(m.points, pair)
    drawn = languages.scatter(m.points, rate, languages.ACCURACY, fit=fit, note=note)
    about += "; the line is a least-squares fit with the band of its mean."
    blocks: list[Block] = [Picture(drawn, about, m.points, "languages")]
    blocks.append(
        Listing(
            relations.worded(estimates),
            "p by permutation of the languages; with a fact held fixed, by a t test on what a linear fit leaves.",
        )
    )
    by_layer = relations.by_layer(m.rates, m.points, pair.other)
    drawn = correlation.correlation_by_layer(
        by_layer.table.assign(metric=m.label), series="metric", best=by_layer.best, threshold=by_layer.threshold
    )
    blocks.append(Picture(drawn, relations.best_layer_in_words(by_layer), by_layer.table))
    of_pooling = m.run.rates[m.run.rates["pooling"] == m.pooling]
    metrics = metric_relations.by_metric(of_pooling, m.points, pair.other)
    blocks.append(
        Listing(
            relations.worded(metrics),
            "Every metric against accuracy. The corrected p answer for having tried all rows.",
        )
    )
    differences = metric_relations.metric_differences(of_pooling, m.points, pair.other, m.metric)
    if len(differences):
        about = f"{m.label} (best layer) against the other metrics: its r minus theirs, over the same languages."
        blocks.append(Listing(relations.worded(differences), f"{about} Intervals of Zou 2007, p of Steiger 1980."))
    without = relations.influence(m.points, pair)
    drawn = correlation.influence(without, whole["r"], "Pearson r without the language")
    return [*blocks, Picture(drawn, "The correlation when each language is left out.", without)]


# --- layers ------------------------------------------------------------------------------------------------------


def _layers(m: Material) -> list[Block]:
    if m.rates.empty:
        return []
    after_norm = "imported" not in m.run.facts and bool((m.rates["layer"] == m.run.n_layers).any())
    depth = layers.Depth(m.run.n_layers, False, profiles.degenerate_layers(m.rates), after_norm)
    named = m.rates.assign(name=m.rates["language"].map(profiles.names_with_accuracy(m.run.languages)))
    label = f"{m.label}: alignment rate"
    table = m.rates[["language", "layer", "rate", "low", "high", "relabelled_rate", "n"]]
    peaks = profiles.peaks(m.rates, m.run.languages, m.run.n_layers)
    return [
        Picture(
            layers.curves(named, depth, label=label, intervals=False),
            "A star marks a language's highest layer; in brackets its accuracy where it is known."
            + (
                " Dotted: the same rule when no pair is a translation."
                if m.rates["relabelled_rate"].notna().any()
                else ""
            ),
            table,
            "rates",
        ),
        Picture(layers.heatmap(named, depth, label=label), "The same as colours, highest peak on top.", table, "rates"),
        Listing(
            peaks,
            "The peak is chosen on the instances it is shown for, so its rate is optimistic; compare the relabelled rate.",
        ),
    ]


# --- instances ---------------------------------------------------------------------------------------------------


def _instances(m: Material) -> list[Block]:
    if not m.decided:
        return []
    by = "correct" if m.answered else None
    shown = m.instances.assign(correct=m.instances["correct"].map({1.0: True, 0.0: False}))
    about = "Instances of all languages, each at its language's best layer; above 0 an instance is aligned."
    drawn = instances.distribution(shown, "margin", by)
    if not m.instances["margin"].notna().any():
        about = "Instances of all languages: at what share of the layers each is aligned."
        drawn = instances.distribution(shown, "layers_aligned", by, label="Share of aligned layers")
    blocks: list[Block] = [Picture(drawn, about, pd.DataFrame(), "instance_alignment")]
    return [*blocks, *_by_correctness(m)] if m.answered else blocks


def _by_correctness(m: Material) -> list[Block]:
    series = m.instances["correct"].map({1.0: True, 0.0: False}).astype(pd.CategoricalDtype([True, False]))
    groups = pd.factorize(m.instances["group"])[0].astype("int64")
    curves = effects.rates_by_layer(all_decided(m), series, groups).rename(columns={"series": "correct"})
    drawn = layers.curves(curves, layers.Depth(m.run.n_layers), series="correct", relabelled=False)
    blocks: list[Block] = [Picture(drawn, "Alignment by layer of the instances answered right and wrong.", curves)]
    counts = effects.crossed(m.instances)
    blocks.append(Picture(association.two_by_two(counts), "Alignment and correctness, all languages together.", counts))
    shares = _named(correctness.conditional_shares(m.instances), m)
    drawn = association.aligned_versus_not(shares, measures=ACCURACIES)
    columns = ["language", "name", *(c for c in shares if "correct_if" in c)]
    blocks.append(Picture(drawn, "Accuracy of aligned and of not aligned instances.", shares[columns]))
    for name in ("odds_ratio", "delta"):
        effect = effects.EFFECTS[name]
        found = _named(effects.by_language(m.instances, name), m)
        pooled = effects.over_languages(m.instances, name).estimate
        whole = pd.DataFrame([("all languages", *pooled)], columns=["name", "estimate", "low", "high", "p", "n"])
        drawn = association.forest(found, effect.label, null=effect.null, log=effect.log, pooled=whole)
        blocks.append(Picture(drawn, effect.about, pd.concat([found, whole], ignore_index=True)))
    return blocks


def _named(table: pd.DataFrame, m: Material) -> pd.DataFrame:
    table.insert(1, "name", [m.run.name(code) if code else correctness.ALL for code in table["language"]])
    return table


# --- what it means and where it comes from -----------------------------------------------------------------------


def _definitions(m: Material) -> list[Block]:
    run = m.run
    sizes = (description.n_options(run), description.n_instances(run), description.metric_names(run))
    entries = [*definitions.metrics(*sizes), *definitions.BESIDE, definitions.poolings(), *definitions.SCORING]
    about = (
        "s_ij is the cosine between option i in the pivot and option j in the language at one layer. An instance is aligned "
        "where the margin is above 0; a tie is not aligned, and an undefined margin is left out, never counted as 0. Every "
        "interval is at 95 %."
    )
    return [Words(about), Terms((*entries, *definitions.STATISTICS))]


def _provenance(m: Material) -> list[Block]:
    run = m.run
    made = description.parts_table(run)
    alike = [c for c in made if made[c].nunique(dropna=False) == 1 and c not in ("language", "name", "n")]
    facts = description.settings(run, shared=True) | {c: str(made[c].iloc[0]) for c in alike if made[c].notna().all()}
    settings = pd.DataFrame(facts.items(), columns=["setting", "value"])
    blocks: list[Block] = [Words(description.protocol(run)), Listing(settings)]
    if command := description.command(run, shared=True):
        blocks += [Words("The command that computes it, or goes on with it:"), Code(command)]
    about = "Each language: what differs from one to another of what was counted, where and with what."
    return [*blocks, Listing(made.drop(columns=alike), about)]
