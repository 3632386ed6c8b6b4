"""One instance as it is read, and as a record for JSON."""

import json
import math

import numpy as np
import pandas as pd

from crossalign.instance_record import Source, cosine_table, elsewhere, letter, record, side

NAN = float("nan")

ROW = {
    "language": "arb_Arab", "premise": "P", "context": "P Q", "prompt": "P Q A B", "options": np.array(["x", "y"]),
    "continuations": np.array(["A", "B"]), "gold": 1, "prediction": 0, "correct": False, "tags": np.array(["seen"]),
}  # fmt: skip
SCORES = pd.DataFrame({"loglik": [-1.5, -2.5], "n_tokens": [1, 2]})


def test_a_side_marks_gold_and_prediction() -> None:
    found = side(ROW, SCORES)
    assert (found.name, found.direction) == ("Modern Standard Arabic", "rtl")
    assert found.text == "P Q" and found.prompt == "P Q A B" and found.correct is False and found.tags == ("seen",)
    assert [(o.text, o.continuation, o.loglik, o.n_tokens) for o in found.options] == [
        ("x", "A", -1.5, 1),
        ("y", "B", -2.5, 2),
    ]
    assert [o.gold for o in found.options] == [False, True]
    assert [o.predicted for o in found.options] == [True, False]


def test_what_is_unknown_stays_unknown() -> None:
    row = ROW | {
        "language": "xx-unknown",
        "gold": pd.NA,
        "prediction": pd.NA,
        "correct": pd.NA,
        "context": "",
        "prompt": "P",
    }
    found = side(row, SCORES.iloc[:0])
    assert (found.name, found.direction, found.text, found.prompt) == ("xx-unknown", "auto", "P", "")
    assert found.correct is None and not any(o.gold or o.predicted for o in found.options)
    assert all(math.isnan(o.loglik) and o.n_tokens is None for o in found.options)


def test_options_have_letters_and_then_numbers() -> None:
    assert [letter(i) for i in (0, 3, 25, 26)] == ["A", "D", "Z", "27"]


def test_elsewhere_finds_the_same_question_in_all_languages() -> None:
    points = pd.DataFrame(
        {
            "language": pd.Categorical(["sw", "sw", "ar", "de"]), "instance_id": ["1", "2", "1", "1"],
            "correct": [1.0, 0.0, NAN, 0.0], "aligned": [1.0, 0.0, 0.0, NAN], "margin": [0.1, 0.9, -0.2, NAN],
            "logprob_margin": [1.0, 2.0, NAN, 4.0], "layers_aligned": [0.5] * 4,
        }
    )  # fmt: skip
    found = elsewhere(points, "1", {"sw": "Swahili"})
    assert found["language"].tolist() == ["sw", "ar", "de"] and found["name"].tolist() == ["Swahili", "ar", "de"]
    assert found["correct"].tolist()[0] is True and pd.isna(found["correct"][1])
    assert found["aligned"].tolist()[1] is False and pd.isna(found["aligned"][2])
    assert elsewhere(points, "3", {}).empty


def test_a_record_is_strict_json_with_null_for_what_is_undefined() -> None:
    cosines = {"cross": np.full((2, 2, 2), np.float32(0.5))}
    others = pd.DataFrame({"language": ["sw"], "correct": pd.array([None], dtype="boolean"), "margin": [NAN]})
    found = record(
        Source("run", "model", "task", "protocol", "mean"), "id", [side(ROW, SCORES)],
        {"dali": np.array([0.25, NAN], np.float32)}, {"dali": np.array([1.0, NAN])}, cosines, others,
    )  # fmt: skip
    read = json.loads(json.dumps(found, allow_nan=False))
    assert read["margins_by_layer"]["dali"] == [0.25, None]
    assert read["aligned_by_layer"]["dali"] == [1.0, None]
    assert read["cosines_by_layer"]["cross"][1] == [[0.5, 0.5], [0.5, 0.5]]
    assert read["languages"] == [{"language": "sw", "correct": None, "margin": None}]
    assert read["texts"][0]["options"][1] == {
        "text": "y", "continuation": "B", "loglik": -2.5, "n_tokens": 2, "gold": True, "predicted": False
    }  # fmt: skip
    assert record(Source("r", "m", "t", "p", "mean"), "id", [], {}, {}, None, others)["cosines_by_layer"] is None


def test_cosines_become_rows() -> None:
    found = cosine_table({"cross": np.array([[1.0, 2.0], [3.0, 4.0]])})
    assert found.to_numpy().tolist() == [
        ["cross", "A", "A", 1.0], ["cross", "A", "B", 2.0], ["cross", "B", "A", 3.0], ["cross", "B", "B", 4.0]
    ]  # fmt: skip
