"""Filters on instances, search in their texts, failures, the list."""

import numpy as np
import pandas as pd
import pytest

from crossalign.instance_search import InstanceFilter, failures, folded, listing, matching, neighbours, searchable

NAN = float("nan")

POINTS = pd.DataFrame(
    {
        "instance_id": ["a", "b", "c", "d"],
        "correct": [1.0, 0.0, 0.0, NAN],
        "aligned": [1.0, 0.0, 1.0, NAN],
        "cohort": pd.Categorical(["EC-XC", "EC-XW", "EW-XW", None]),
        "margin": [0.2, -0.1, 0.0, NAN],
        "layers_aligned": [0.5, 0.0, 1.0, NAN],
        "logprob_margin": [1.0, -2.0, -0.5, NAN],
    }
)
TAGS = pd.Series([["cause"], ["effect", "seen"], ["effect"], []])
TEXTS = pd.Series([folded(t) for t in ("The Éléphant swims", "السَّمَاءُ زرقاء", "<script>alert(1)</script>", "(.*) [x")])


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (InstanceFilter(), "abcd"),
        (InstanceFilter(correct="yes"), "a"),
        (InstanceFilter(correct="no"), "bc"),
        (InstanceFilter(aligned="no"), "b"),
        (InstanceFilter(correct="no", aligned="yes"), "c"),
        (InstanceFilter(cohorts=("EC-XW", "EC-XC")), "ab"),
        (InstanceFilter(tags=("effect",)), "bc"),
        (InstanceFilter(tags=("seen", "cause")), "ab"),
        (InstanceFilter(margin_from=0.0), "ac"),
        (InstanceFilter(margin_from=-0.1, margin_to=0.0), "bc"),
        (InstanceFilter(words="SWIMS elephant"), "a"),
        (InstanceFilter(words="elephant swims slowly"), ""),
        (InstanceFilter(words='"elephant swims"'), "a"),
        (InstanceFilter(words='"swims elephant"'), ""),
        (InstanceFilter(words='"'), ""),
        (InstanceFilter(words="السماء"), "b"),
        (InstanceFilter(words="<SCRIPT>"), "c"),
        (InstanceFilter(words="(.*)"), "d"),
    ],
)
def test_a_filter_lets_through_what_it_says(asked: InstanceFilter, expected: str) -> None:
    kept = matching(POINTS, asked, TAGS, TEXTS)
    assert "".join(POINTS["instance_id"][kept]) == expected


def test_texts_of_both_languages_are_found_whatever_the_order_of_their_rows() -> None:
    def side(ids: list[str], word: str) -> pd.DataFrame:
        texts = [f"{word}{i}" for i in ids]
        options = [[f"first {t}", f"Second {t}"] for t in texts]
        return pd.DataFrame({"instance_id": ids, "premise": texts, "context": texts, "options": options, "prompt": ""})

    found = searchable(side(["1", "2", "3"], "maji"), side(["3", "1"], "water"))
    assert ["water1" in t for t in found] == [True, False, False]
    assert ["second maji2" in t for t in found] == [False, True, False]
    assert "water3" in found[2] and "maji3" in found[2] and "water" not in found[1]


def test_failures_are_wrong_answers_or_where_there_are_none_what_is_not_aligned() -> None:
    assert failures(POINTS).tolist() == [False, True, True, False]
    assert failures(POINTS.assign(correct=NAN)).tolist() == [False, True, False, False]


def test_neighbours_at_the_ends() -> None:
    rows = np.array([False, True, False, True])
    assert neighbours(rows, 0) == (None, 1)
    assert neighbours(rows, 1) == (None, 3)
    assert neighbours(rows, 3) == (1, None)
    assert neighbours(np.zeros(4, bool), 2) == (None, None)


def test_the_list_shows_words_and_cuts_texts() -> None:
    premises = ["x " * 30_000, "two\nlines", "c", "d"]
    texts = pd.DataFrame({"premise": premises, "context": None, "prompt": None, "tags": TAGS})
    found = listing(POINTS, texts, np.array([True, True, False, True]))
    assert found["instance_id"].tolist() == ["a", "b", "d"]
    assert found["answer"].tolist()[:2] == ["right", "wrong"] and pd.isna(found["answer"][2])
    assert found["aligned"].tolist()[:2] == ["yes", "no"] and pd.isna(found["aligned"][2])
    assert len(found["text"][0]) == 140 and found["text"][1] == "two lines"
    assert found["tags"].tolist() == ["cause", "effect, seen", ""]
