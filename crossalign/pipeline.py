"""The only orchestration: from a request to a cached run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

from crossalign.planning import Observer, Plan, RunRequest, Silent, plan
from crossalign.schema import UserError, content_digest
from crossalign.store.locks import lock
from crossalign.store.runs import Run, open_run
from crossalign.translation.planning import TranslationRequest, plan_translation

Request = RunRequest | TranslationRequest


def run(request: Request, observer: Observer | None = None) -> Run:
    """Computes what the cache lacks of a run and returns it; a run that is complete returns at once.

    The parts of a run are languages, those of a translation run pairs of source and target language.

    Raises:
        UserError: see `plan` and `plan_translation`; also a disk that refuses, and a model whose fast pass cannot be
            trusted.
    """
    observer = observer or Silent()
    opened, planned, computation = _opened(request, observer)
    missing = [c for c in planned.languages if not _is_complete(opened, planned, c)]
    if not missing:
        observer.say(f"{opened.run_id} is complete in the cache ({len(planned.languages)} parts)")
        if opened.work.exists():  # by a process that was killed after its last part
            _clean(opened)
        return opened
    observer.ahead(missing, len(planned.pivot.instances))
    with lock(opened.folder / ".users.lock", shared=True):
        _fill(computation(opened, planned), missing, observer)
    _clean(opened)
    return opened


def prepare(request: Request, observer: Observer | None = None) -> Run:
    """Opens the run of a request without computing any part, so that it is listed before its turn comes."""
    return _opened(request, observer or Silent())[0]


def _opened(request: Request, observer: Observer) -> tuple[Run, Plan, Callable]:
    """The run, its plan, and what computes it."""
    if isinstance(request, TranslationRequest):
        from crossalign.translation import computation as translating

        planned = plan_translation(request, observer)
        opened = open_run(request.cache, planned.spec, lambda: translating.start(planned))
        return opened, planned, translating.TranslationComputation
    from crossalign import computation

    planned = plan(request, observer)
    return open_run(request.cache, planned.spec, lambda: computation.start(planned)), planned, computation.Computation


def _is_complete(opened: Run, planned: Plan, language: str) -> bool:
    """Whether the part is there and was computed from the instances of today."""
    manifest = opened.manifest(language)
    if manifest is None:
        return False
    today = content_digest(planned.load(language).instances)
    if manifest.content_digest != today:
        raise UserError(
            f"The texts of {language} have changed since {opened.run_id} was computed from them: use another --cache, "
            f"or delete {opened.part_folder(language)} to compute that language again."
        )
    return planned.request.keep_states == "none" or (
        all(f"states_{p}.safetensors" in manifest.checksums for p in planned.spec.poolings)
        and manifest.provenance.get("states") == planned.request.keep_states
    )


def _fill(computation: Any, missing: Sequence[str], observer: Observer) -> None:
    """Computes each missing language; one that another process works on is left to it and waited for."""
    opened, planned = computation.run, computation.plan
    todo = list(missing)
    while todo:
        left = [c for c in todo if not _compute_if_free(computation, c, wait=False)]
        if len(left) == len(todo):
            observer.say(f"Waiting for another process that computes {left[0]}")
            _compute_if_free(computation, left[0], wait=True)
            left = left[1:]
        todo = [c for c in left if not _is_complete(opened, planned, c)]


def _compute_if_free(computation: Any, language: str, wait: bool) -> bool:
    path = computation.run.work / f"{language}.lock"
    with lock(path, wait=wait) as mine:
        if mine and not _is_complete(computation.run, computation.plan, language):
            computation.language(language)
        return mine


def _clean(opened: Run) -> None:
    """Removes the chunks, unless another process still uses them."""
    with lock(opened.folder / ".users.lock", wait=False) as alone:
        if alone:
            shutil.rmtree(opened.work, ignore_errors=True)
