"""What each command of the command line does."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas and Streamlit return unions that say nothing about the frame at hand.)

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING

from crossalign import console
from crossalign.alignment import ALIGNMENT_METRICS
from crossalign.amounts import in_brackets
from crossalign.planning import RunRequest, request_of
from crossalign.schema import UserError
from crossalign.store.parts import verify as verify_run
from crossalign.store.runs import Run, find_run, list_runs
from crossalign.translation import commands as translation

if TYPE_CHECKING:
    from pandas import DataFrame


def run(options: Namespace) -> int:
    """Computes a run and shows its summary; with --estimate, only what it would cost."""
    from crossalign.pipeline import run as compute

    request = request_of(RunRequest, options)
    if options.estimate:
        return _estimate(request, options.json)
    with console.Reporting() if options.json else console.Progressing() as observer:
        finished = compute(request, observer)
    _show(finished, options.json)
    return 0


def _estimate(request: RunRequest, as_json: bool) -> int:
    from crossalign.cost import cost

    with console.Reporting() if as_json else console.Progressing() as observer:
        found = cost(request, observer)
    if as_json:
        console.print_json(found._asdict() | {"described": found.described(), "warnings": found.warnings()})
        return 0
    for name, value in found.described().items():
        print(f"{name + ':':<16}{value}")
    for warning in found.warnings():
        print(warning)
    return 0


def demo(options: Namespace) -> int:
    """Computes the default runs, which need nothing but the package."""
    from crossalign.demo import demo as compute

    with console.Reporting() if options.json else console.Progressing() as observer:
        runs = compute(options.cache, observer, options.first)
    for finished in runs:
        if finished.spec.kind == "translation":
            translation.show(finished, options.cache, options.json)
        else:
            _show(finished, options.json)
    return 0


def import_results(options: Namespace) -> int:
    """Imports results that were computed elsewhere; exit status 1 when something had to be left out."""
    from crossalign.imported import missing
    from crossalign.importers import lm_eval, published

    with console.Reporting() if options.json else console.Progressing() as observer:
        if options.source == "published":
            report = published.import_release(options.folder, options.cache, observer)
        else:
            report = lm_eval.import_logs(options.folder, options.cache, options.run, options.time, observer)
    lacking = {i: [t for t in missing(find_run(options.cache, i)) if t not in report.left_out] for i in report.runs}
    if options.json:
        console.print_json(asdict(report) | {"missing": lacking})
        return 1 if report.left_out else 0
    for text in (*report.notes, *(f"Left out: {text}" for text in report.left_out)):
        print(text)
    for run_id, sentences in lacking.items():
        print(f"{run_id}{' (was there already)' if run_id in report.unchanged else ''}")
        for text in sentences:
            print(f"  {text}")
    return 1 if report.left_out else 0


def list_all(options: Namespace) -> int:
    """Shows the runs in the cache."""
    runs, problems = list_runs(options.cache, kind=None)
    rows = [_row(r) for r in runs]
    if options.json:
        console.print_json({"runs": rows, "unreadable": problems})
        return 0
    if not runs and not problems:
        print(f"No runs in {options.cache} yet. Start one with: crossalign run --model MODEL --task xcopa")
        return 0
    header = ["run_id", "n", "complete", "languages"]
    if console.is_wide():
        header = ["run_id", "model", "task", "protocol", "n", "complete", "languages"]
    console.print_table(f"Runs in {options.cache}", header, [[_text(row[h]) for h in header] for row in rows])
    for problem in problems:
        print(problem)
    return 0


def summary(options: Namespace) -> int:
    """Shows accuracy and alignment of a run."""
    found = find_run(options.cache, options.run)
    if found.spec.kind == "translation":
        if options.pooling or options.scores:
            raise UserError(f"{found.run_id} is a translation run: --pooling and --scores are for runs of alignment.")
        translation.show(found, options.cache, options.json, options.against)
        return 0
    if options.against:
        raise UserError(f"{found.run_id} is no translation run: --against compares translations.")
    if options.pooling and options.pooling not in found.spec.poolings:
        known = ", ".join(found.spec.poolings) or "none"
        raise UserError(f"{found.run_id} has the poolings {known}, not {options.pooling}.")
    _show(found, options.json, options.pooling or "", options.scores)
    return 0


def verify(options: Namespace) -> int:
    """Checks checksums; exit status 1 when something is damaged."""
    if not options.cache.is_dir():
        raise UserError(f"There is no cache folder {options.cache}: give --cache the folder with the runs.")
    runs, problems = ([find_run(options.cache, options.run)], []) if options.run else list_runs(options.cache, None)
    for one in runs:
        problems += verify_run(one)
    if options.json:
        console.print_json({"runs": [r.run_id for r in runs], "problems": problems})
    else:
        for problem in problems:
            print(problem)
        print(f"{len(runs)} runs checked, {len(problems)} problems.")
    return 1 if problems else 0


def export(options: Namespace) -> int:
    """Writes the tables, and for reading a report that opens without a server."""
    from crossalign import tables
    from crossalign.report.writing import write_report

    found = find_run(options.cache, options.run)
    translates = found.spec.kind == "translation"
    files = translation.export(found, options.cache, options.out) if translates else tables.export(found, options.out)
    if options.report:
        names = tuple(file.relative_to(options.out).as_posix() for file in files)
        files += write_report(found, options.out, options.metric, options.pooling, names)
    if options.json:
        console.print_json({"files": [str(f) for f in files]})
    else:
        for file in files:
            print(file)
    return 0


def _row(one: Run) -> dict:
    spec, languages = one.spec, one.languages()
    return {
        "run_id": one.run_id,
        "kind": spec.kind,
        "model": spec.model_name,
        "task": spec.task,
        "protocol": spec.protocol + (f", {spec.shots}-shot" if spec.shots else ""),
        "languages": languages,
        "n": one.facts.get("n"),
        "complete": one.complete,
    }


def _text(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return f"{len(value)}: {', '.join(value[:4])}{' …' if len(value) > 4 else ''}"
    return value


def _show(one: Run, as_json: bool, pooling: str = "", scores: str = "") -> None:
    """Tables, of the run's first pooling where none is given; as JSON then of all."""
    from crossalign import tables
    from crossalign.imported import missing
    from crossalign.store.scorings import scorings

    languages, rates = tables.languages(one, scores), tables.rates(one)
    added = [s.name for s in scorings(one)]
    best = tables.best_layers(rates)
    related = tables.correlations(languages, rates)
    if pooling or not as_json:
        pooling = pooling or next(iter(one.spec.poolings), "")
        best, related = (table[table["pooling"] == pooling] for table in (best, related))
    if as_json:
        value = {
            "run_id": one.run_id,
            "complete": one.complete,
            "languages": languages.to_dict("records"),
            "best_layers": best.to_dict("records"),
            "correlations": related.to_dict("records"),
            "scores": scores or None,
            "added_scores": added,
            "missing": missing(one),
        }
        console.print_json(value)
        return
    _show_languages(one, languages, best, pooling)
    shown = related[related["r"].notna()]
    body = [
        [r["metric"], r["aggregation"], r["coefficient"], _interval(r["r"], r["low"], r["high"]), r["n"]]
        for r in shown.to_dict("records")
    ]
    if body:
        header = ["metric", "over layers", "coefficient", "r", "n"]
        console.print_table("Accuracy against alignment over languages (95 % intervals)", header, body)
    for text in missing(one):
        print(text)
    if added:
        print(f"Scores added from elsewhere, shown with --scores: {', '.join(added)}")


def _show_languages(one: Run, languages: "DataFrame", chosen: "DataFrame", pooling: str) -> None:
    """One line per language; on a narrow terminal without names and intervals."""
    metrics = [m for m in ALIGNMENT_METRICS if m in set(chosen["metric"])]
    wide = console.is_wide()
    rows = []
    for record in languages.to_dict("records"):
        mine = chosen[chosen["language"] == record["language"]].set_index("metric")
        cells = [f"{mine.rate[m]:.3f} @{mine.layer[m]}" if m in mine.index else None for m in metrics]
        accuracy = _interval(record["accuracy"], record["accuracy_low"], record["accuracy_high"])
        about = [record["name"], record["n"], accuracy] if wide else [record["n"], record["accuracy"]]
        rows.append([record["language"], *about, *cells])
    header = ["language", "name", "n", "accuracy"] if wide else ["language", "n", "accuracy"]
    note = f"Highest rate over layers @ that layer (0 = embeddings); pivot {one.spec.pivot}, pooling {pooling}."
    console.print_table(one.run_id, [*header, *metrics], rows, note if metrics else "")


def _interval(value: float, low: float, high: float) -> str | None:
    return None if value != value else f"{value:.3f}{in_brackets(low, high, '{:.3f}'.format)}"


COMMANDS = {
    "run": run,
    "translate": translation.translate,
    "scores": translation.scores,
    "demo": demo,
    "import": import_results,
    "list": list_all,
    "summary": summary,
    "verify": verify,
    "export": export,
}
