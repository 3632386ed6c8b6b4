"""Writes a report into a folder."""

from __future__ import annotations

from pathlib import Path

from crossalign.figures.standalone import plotly_js
from crossalign.report import translations
from crossalign.report.material import Material, read_material
from crossalign.report.page import page
from crossalign.report.sections import sections
from crossalign.store.files import write_atomically
from crossalign.store.runs import Run

BESIDE = ("report.css", "report.js")


def write_report(run: Run, out: Path, metric: str = "", pooling: str = "", files: tuple[str, ...] = ()) -> list[Path]:
    """Writes `report/index.html` below `out`, and beside it what the page needs; returns the files.

    Args:
        metric, pooling: what figures show; "" for the run's first.
        files: the tables, from `out`.

    Raises:
        UserError: the run lacks the metric or pooling, is damaged, or the disk refuses.
    """
    if run.spec.kind == "translation":
        titles, shown = translations.titles(run), translations.sections(run, metric, pooling)
    else:
        material = read_material(run, metric, pooling)
        titles, shown = _titles(material), sections(material)
    folder, here = out / "report", Path(__file__).parent
    texts = {name: (here / name).read_text(encoding="utf-8") for name in BESIDE} | {"plotly.min.js": plotly_js()}
    texts["index.html"] = page(*titles, shown, files)
    for name, text in texts.items():
        _write(folder / name, text)
    return [folder / name for name in texts]


def _write(path: Path, text: str) -> None:
    def whole(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(path, whole)


def _titles(m: Material) -> tuple[str, str]:
    spec, facts = m.run.spec, m.run.facts
    shots = f", {spec.shots}-shot" if spec.shots else ""
    shown = f" · {m.run.n_layers} layers · {m.label}, {m.pooling.replace('_', ' ')}" if m.metric else ""
    about = (
        f"{spec.protocol}{shots} · {facts.get('n')} instances × {len(m.run.languages)} languages · "
        f"pivot {m.run.name(spec.pivot)}{shown}"
    )
    note = str(facts.get("note") or "")
    return f"{spec.model_name} on {spec.task}", f"{about}. {note}" if note else about
