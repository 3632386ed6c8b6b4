"""The house keeps its order: one-way imports, light starts, sizes, docstrings."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "crossalign"
FILES = sorted(PACKAGE.rglob("*.py"))
PAGES = [p for p in (ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))) if p.is_file()]

ORDER = (
    "schema",
    "languages amounts arguments memory",
    "similarity scoring statistics representation projection",
    "alignment distractors miniature",
    "weights tasks",
    "models",
    "forward patching translation miniature.muon miniature.loss",
    "alignment_tables part_columns translation.columns provenance store",
    "margins chunks",
    "miniature.control miniature.states",
    "miniature.train",
    "planning",
    "translation.planning",
    "computation translation.computation engine",
    "cost",
    "pipeline importers translation.scores",
    "demo",
    "accuracy imported",
    "tables outcomes comparison definitions console reference",
    "translation.tables relations metric_relations profiles fewer_options run_tables",
    "effects instance_search instance_record description",
    "translation.sentences translation.relations correctness",
    "figures findings",
    "translation.findings",
    "report translation.commands",
    "commands",
    "jobs",
    "ui",
    "__main__",
)
"""A module imports only what stands above it, or the rest of its own package. A new module gets its place here."""

LEVELS = {name: level for level, names in enumerate(ORDER) for name in names.split()}

NUMBERS_ONLY = ("similarity", "scoring", "statistics", "alignment", "distractors", "representation", "projection")

WITH_TORCH = {
    "weights",
    "models",
    "forward",
    "chunks",
    "computation",
    "cost",
    "translation.computation",
    "patching",
    "engine",
    "miniature.control",
    "miniature.loss",
    "miniature.muon",
    "miniature.states",
    "miniature.train",
}

HEAVY = ("torch", "transformers", "datasets", "sklearn", "statsmodels", "streamlit")


def place(dotted: str) -> str:
    """Where a dotted name below the package stands in ORDER: "store.runs.Run" is "store"."""
    first_two = ".".join(dotted.split(".")[:2])
    return first_two if first_two in LEVELS else dotted.split(".")[0]


def name_of(path: Path) -> str:
    """Where a file stands in ORDER; the `__init__.py` of a package by the package's name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return place(".".join(parts))


def ids(paths: list[Path]) -> list[str]:
    return [str(p.relative_to(ROOT)) for p in paths]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path, nodes: Iterator[ast.AST] | None = None) -> set[str]:
    """Dotted names a file imports, inside functions too; relative imports are written out."""
    names: set[str] = set()
    for node in ast.walk(tree(path)) if nodes is None else nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports out in full"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ours(path: Path) -> set[str]:
    """What of ours a file imports, as it stands in ORDER."""
    names = {n.removeprefix("crossalign.") for n in imported(path) if n.startswith("crossalign.")}
    return {place(n) for n in names - {"__version__"}}


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("path", FILES, ids=ids(FILES))
def test_imports_go_one_way(path: Path) -> None:
    mine = name_of(path)
    if path.name == "__init__.py" and mine not in LEVELS:
        assert not ours(path)
        return
    assert mine in LEVELS, f"give {mine} its place in ORDER"
    wrong = {n for n in ours(path) if n != mine and LEVELS.get(n, 99) >= LEVELS[mine]}
    assert not wrong, f"{path.name} imports {sorted(wrong)}, which stand beside or below it"


def test_no_module_imports_itself_by_a_detour() -> None:
    modules = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in FILES}
    graph = {
        name: {m for m in (n if n in modules else n.rpartition(".")[0] for n in imported(path)) if m in modules}
        for name, path in modules.items()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join((*path, name))
        if name not in done:
            for other in graph[name] - {name}:
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("name", NUMBERS_ONLY)
def test_metrics_know_arrays_only(name: str) -> None:
    paths = [p for p in FILES if name_of(p) == name]
    if not paths:
        pytest.skip(f"there is no {name}")
    for path in paths:
        foreign = roots(path) - set(sys.stdlib_module_names) - {"crossalign"}
        assert foreign <= {"numpy", "scipy", "jaxtyping"}
        allowed = {"similarity"} if name in ("alignment", "distractors", "representation") else set()
        assert ours(path) - {name} <= allowed
        outside = imported(path, iter(tree(path).body))
        assert not any(n.split(".")[0] == "scipy" for n in outside), "scipy is imported where it is needed"


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("streamlit", {"ui"}),
        ("plotly", {"figures"}),
        ("torch", WITH_TORCH),
        ("transformers", WITH_TORCH),
        ("datasets", {"tasks"}),
    ],
)
def test_libraries_stay_behind_their_wall(library: str, allowed: set[str]) -> None:
    users = {name_of(p) for p in FILES if library in roots(p)}
    assert users <= allowed
    if library != "streamlit":
        assert not [p.name for p in PAGES if library in roots(p)]


@pytest.mark.parametrize(
    "name", ["planning", "pipeline", "commands", "translation.commands", "tables", "console", "__main__"]
)
def test_heavy_modules_of_ours_are_imported_inside_functions_only(name: str) -> None:
    path = PACKAGE / f"{name.replace('.', '/')}.py"
    outside = imported(path, iter(tree(path).body))
    assert not {place(n.removeprefix("crossalign.")) for n in outside if n.startswith("crossalign.")} & WITH_TORCH
    assert not any(n.split(".")[0] in HEAVY for n in outside)


def test_reading_results_loads_nothing_heavy() -> None:
    code = (
        "import sys; import crossalign.tables, crossalign.store.runs, crossalign.commands, crossalign.__main__; "
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# --- sizes and manners -------------------------------------------------------------------------------------------


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("path", FILES, ids=ids(FILES))
def test_a_file_has_at_most_300_lines_and_a_function_50(path: Path) -> None:
    assert lines(path) <= 300
    functions = [n for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {n.name: n.end_lineno - n.lineno + 1 for n in functions if n.end_lineno - n.lineno + 1 > 50}
    assert not long


@pytest.mark.parametrize("path", PAGES, ids=ids(PAGES))
def test_a_page_has_at_most_90_lines(path: Path) -> None:
    assert lines(path) <= 90


@pytest.mark.parametrize("path", [*FILES, *PAGES], ids=ids([*FILES, *PAGES]))
def test_nothing_is_pickled_trusted_or_left_to_do(path: Path) -> None:
    assert not roots(path) & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}
    text = path.read_text(encoding="utf-8")
    assert "TODO" not in text and "FIXME" not in text
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.keyword) and node.arg in ("trust_remote_code", "allow_pickle"):
            assert isinstance(node.value, ast.Constant) and node.value.value is False
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            trusted = [v for k, v in pairs if isinstance(k, ast.Constant) and k.value == "trust_remote_code"]
            assert all(isinstance(v, ast.Constant) and v.value is False for v in trusted)


@pytest.mark.parametrize("path", FILES, ids=ids(FILES))
def test_every_module_and_every_public_function_and_class_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(tree(path)), "the module has none"
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    public = [n for n in tree(path).body if isinstance(n, kinds) and not n.name.startswith("_")]
    assert not [n.name for n in public if not ast.get_docstring(n)]


def test_every_metric_says_its_chance_and_its_source() -> None:
    from crossalign import alignment

    metrics = [m.margin or alignment.mexa for m in alignment.ALIGNMENT_METRICS.values()]
    for metric in metrics:
        text = inspect.getdoc(metric) or ""
        assert "Chance:" in text and "Source:" in text, metric.__name__
        assert ">>>" in text, f"{metric.__name__} has no example"


def test_no_catch_all_names() -> None:
    names = {part.removesuffix(".py") for p in FILES for part in p.relative_to(PACKAGE).parts}
    assert not names & {"utils", "helpers", "common", "manager", "misc"}
