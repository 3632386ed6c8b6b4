"""Two runs on the same instances: joined by id, compared in pairs, refused where the instances differ."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from synthetic import Shape, synthetic_run

from crossalign import comparison
from crossalign.schema import UserError
from crossalign.store import parts
from crossalign.store.files import checksum

NAN = math.nan


def side(values: list[float], ids: list[str] | None = None, groups: list[str] | None = None, code: str = "sw"):
    ids = ids or [f"q{i}" for i in range(len(values))]
    return pd.DataFrame({"language": code, "instance_id": ids, "group": groups or ids, "value": values})


def test_instances_are_joined_by_id_not_by_place() -> None:
    rows = comparison.joined(side([1.0, 0.0, 1.0]), side([0.0, 1.0], ["q2", "q0"]))
    assert rows.set_index("instance_id")[["a", "b"]].T.to_dict("list") == {"q0": [1.0, 1.0], "q2": [1.0, 0.0]}
    with pytest.raises(UserError, match="no instance in common"):
        comparison.joined(side([1.0]), side([1.0], ["other"]))


def test_the_table_of_a_language_by_hand() -> None:
    a, b = [1.0] * 8 + [0.0] * 12, [0.0] * 5 + [1.0] * 5 + [0.0] * 10
    row = comparison.by_language(comparison.joined(side([*a, 1.0]), side([*b, NAN]))).iloc[0]
    assert (row["both"], row["a_only"], row["b_only"], row["neither"], row["n"]) == (3, 5, 2, 10, 20)
    assert (row["a"], row["b"]) == (0.4, 0.25) and row["difference"] == pytest.approx(0.15)
    exact = binomtest(2, 7, 0.5).pvalue
    assert row["mcnemar"] == pytest.approx(exact) and row["p"] == pytest.approx(exact)
    assert row["low"] < 0.15 < row["high"] and row["p_holm"] == row["p"]


def test_swapping_the_sides_turns_the_sign() -> None:
    rng = np.random.default_rng(0)
    groups = [f"g{i // 4}" for i in range(80)]
    a, b = (side(rng.integers(0, 2, 80).astype(float).tolist(), groups=groups) for _ in range(2))
    one = comparison.by_language(comparison.joined(a, b)).iloc[0]
    two = comparison.by_language(comparison.joined(b, a)).iloc[0]
    assert one["difference"] == pytest.approx(-two["difference"]) and one["low"] == pytest.approx(-two["high"])
    assert one["p"] == pytest.approx(two["p"]) and one["a_only"] == two["b_only"]


def test_copies_of_an_instance_in_its_group_tell_nothing_new() -> None:
    values = np.array([[1.0] * 20 + [0.0] * 20, [0.0] * 12 + [1.0] * 11 + [0.0] * 17])
    once = [side(v.tolist()) for v in values]
    groups = [f"q{i // 5}" for i in range(200)]
    copied = [side(np.repeat(v, 5).tolist(), groups=groups) for v in values]
    one, five = (comparison.by_language(comparison.joined(*s)).iloc[0] for s in (once, copied))
    assert five["high"] - five["low"] == pytest.approx(one["high"] - one["low"], rel=0.15)
    assert five["mcnemar"] < one["mcnemar"], "the exact test takes copies as independent"


def test_p_is_corrected_for_the_number_of_languages() -> None:
    frames = [pd.concat([side([1.0] * 9 + [0.0], code="sw"), side([1.0] * 6 + [0.0] * 4, code="it")])]
    frames.append(pd.concat([side([0.0] * 10, code="sw"), side([0.0] * 10, code="it")]))
    table = comparison.by_language(comparison.joined(*frames)).set_index("language")
    assert table.loc["sw", "p_holm"] == pytest.approx(2 * table.loc["sw", "p"])
    assert table.loc["it", "p_holm"] == pytest.approx(max(table.loc["it", "p"], table.loc["sw", "p_holm"]))


def test_where_nothing_is_decided_nothing_is_claimed() -> None:
    row = comparison.by_language(comparison.joined(side([NAN, NAN]), side([1.0, 0.0]))).iloc[0]
    assert row["n"] == 0 and all(math.isnan(row[c]) for c in ("a", "b", "difference", "p", "mcnemar", "p_holm"))


def test_runs_of_another_task_pivot_or_languages_are_refused(tmp_path: Path) -> None:
    a = synthetic_run(tmp_path, ("eng_Latn", "swh_Latn"), Shape(n=6))
    b = synthetic_run(tmp_path, ("eng_Latn", "deu_Latn", "swh_Latn"), Shape(n=6), seed=1)
    assert comparison.shared_languages(a, b) == ["eng_Latn", "swh_Latn"]
    for change, why in (({"task": "xcopa"}, "two runs of one task"), ({"pivot": "deu_Latn"}, "one pivot")):
        with pytest.raises(UserError, match=why):
            comparison.shared_languages(a, replace(b, spec=replace(b.spec, **change)))
    alone = synthetic_run(tmp_path / "alone", ("eng_Latn",), Shape(n=6), seed=2)
    with pytest.raises(UserError, match="no language in common"):
        comparison.shared_languages(replace(a, folder=tmp_path / "none"), alone)


def rewritten(run, code: str, column: str, values: list) -> None:
    """Puts other values into the first instance of a part, as another version of the data would have."""
    import pyarrow.parquet as pq

    path = run.part_folder(code) / "instances.parquet"
    frame = pq.read_table(path).to_pandas()
    frame[column] = [values[0], *frame[column].tolist()[1:]]
    frame.to_parquet(path, index=False)
    manifest = run.manifest(code)
    changed = replace(
        manifest, content_digest="other", checksums=manifest.checksums | {path.name: checksum(path)}, digest=""
    )
    record = {f: getattr(changed, f) for f in changed.__dataclass_fields__} | {"digest": changed.own_digest}
    (path.parent / "manifest.json").write_text(json.dumps(record))


@pytest.mark.parametrize(("column", "value"), [("premise", "Another text."), ("gold", 3), ("options", ["a", "b"])])
def test_other_texts_or_answers_are_refused(tmp_path: Path, column: str, value: object) -> None:
    a = synthetic_run(tmp_path, ("eng_Latn", "swh_Latn"), Shape(n=6))
    b = synthetic_run(tmp_path, ("eng_Latn", "swh_Latn"), Shape(n=4), seed=1)
    comparison.check_texts(a, b, ["eng_Latn", "swh_Latn"])  # the first four of the same six
    rewritten(b, "swh_Latn", column, [value])
    with pytest.raises(UserError, match=r"1 instances of swh_Latn have another text .* 'passage-0#1'"):
        comparison.check_texts(a, b, ["eng_Latn", "swh_Latn"])


def test_prompts_may_differ_and_missing_texts_are_not_compared(tmp_path: Path) -> None:
    a = synthetic_run(tmp_path, ("eng_Latn", "swh_Latn"), Shape(n=6))
    b = synthetic_run(tmp_path, ("eng_Latn", "swh_Latn"), Shape(n=6), seed=1)
    rewritten(b, "swh_Latn", "prompt", ["Five examples first."])
    comparison.check_texts(a, b, ["swh_Latn"])
    rewritten(b, "swh_Latn", "premise", [None])
    comparison.check_texts(a, b, ["swh_Latn"])
    assert parts.read_table(b, "swh_Latn", "instances.parquet")["premise"].to_pylist()[0] is None
