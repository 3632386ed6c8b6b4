"""What the commands do with translation runs."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas returns unions that say nothing about the frame at hand.)

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from crossalign import console
from crossalign.amounts import in_brackets, p_digits
from crossalign.planning import request_of
from crossalign.schema import UserError
from crossalign.store.runs import Run, find_run


def translate(options: Namespace) -> int:
    """Computes a translation run and shows its summary."""
    from crossalign.pipeline import run as compute
    from crossalign.translation.planning import TranslationRequest

    request = request_of(TranslationRequest, options)
    with console.Reporting() if options.json else console.Progressing() as observer:
        finished = compute(request, observer)
    show(finished, options.cache, options.json)
    return 0


def scores(options: Namespace) -> int:
    """Adds scores made elsewhere to a translation run."""
    from crossalign.translation.scores import import_scores

    one = find_run(options.cache, options.run)
    if one.spec.kind != "translation":
        raise UserError(f"{one.run_id} is no translation run: `crossalign list` shows which are.")
    added = import_scores(one, options.file, options.metric, options.direction)
    if options.json:
        console.print_json({"run_id": one.run_id, "added": added})
        return 0
    for metric, parts in added.items():
        print(f"{metric}: {len(parts)} parts ({', '.join(parts)})")
    return 0


def show(one: Run, cache: Path, as_json: bool, against: str | None = None) -> None:
    """Quality of a translation run per direction, beside the alignment of the same model where the cache has it."""
    from crossalign.translation import tables

    alignment = tables.matching_alignment(cache, one)
    frame = tables.directions(one, alignment)
    related = tables.correlations(frame)
    compared = tables.comparison(find_run(cache, against), one) if against else None
    if as_json:
        value = {
            "run_id": one.run_id,
            "complete": one.complete,
            "alignment_run": alignment.run_id if alignment else None,
            "directions": frame.to_dict("records"),
            "correlations": related.to_dict("records"),
        }
        console.print_json(value | ({"comparison": compared.to_dict("records")} if compared is not None else {}))
        return
    _show_directions(one, frame.to_dict("records"), alignment)
    body = [
        [r["direction"], r["score"], r["aggregation"], r["coefficient"], _interval(r["r"], r["low"], r["high"]), r["n"]]
        for r in related[related["r"].notna()].to_dict("records")
    ]
    if body:
        header = ["direction", "score", "MEXA over layers", "coefficient", "r", "n"]
        console.print_table("Quality against alignment over languages (95 % intervals)", header, body)
    if compared is not None:
        rows = [
            [r["part"], r["metric"], _interval(r["difference"], r["low"], r["high"], 1), p_digits(r["p"]), r["n"]]
            for r in compared.to_dict("records")
        ]
        console.print_table(f"Minus {against} (paired bootstrap)", ["part", "metric", "difference", "p", "n"], rows)


def _show_directions(one: Run, records: list[dict], alignment: Run | None) -> None:
    wide = console.is_wide()
    rows = []
    for r in records:
        chrf, bleu = (_interval(r[s], r[f"{s}_low"], r[f"{s}_high"], 1) for s in ("chrf", "bleu"))
        quality = [chrf, bleu] if wide else [r["chrf"]]
        rates = [r[name] for name in ("off_target", "copied", "empty", "truncated")]
        best = None if r["mexa_max"] != r["mexa_max"] else f"{r['mexa_max']:.3f} @{r['mexa_max_layer']}"
        rows.append([r["part"], *([r["name"]] if wide else []), r["n"], *quality, *rates, best])
    header = ["part", "name", "n", "chrF++", "BLEU"] if wide else ["part", "n", "chrF++"]
    note = "chrF++ and BLEU from 0 to 100, the others shares of the sentences."
    if alignment is not None:
        note += f" MEXA: highest over layers @ that layer, of {alignment.run_id}."
    console.print_table(one.run_id, [*header, "off target", "copied", "empty", "cut", "MEXA"], rows, note)


def _interval(value: float, low: float, high: float, digits: int = 3) -> str | None:
    written = f"{{:.{digits}f}}".format
    return None if value != value else written(value) + in_brackets(low, high, written)


def export(one: Run, cache: Path, out: Path) -> list[Path]:
    """Writes the tables of a translation run and the input for COMET."""
    from crossalign.translation import tables

    return tables.export(one, out, tables.matching_alignment(cache, one))
