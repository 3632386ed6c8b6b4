"""Tasks: a row becomes an instance as worked out by hand, and languages are joined by id."""

from __future__ import annotations

import re
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import datasets
import pytest

from crossalign.schema import Instance, UserError
from crossalign.tasks import TASKS, belebele, flores, load_language, load_pivot, reader, xcopa, xstorycloze
from crossalign.tasks.records import few_shot_prefix

COPA = {"premise": "The man fell.", "choice1": "He slipped.", "choice2": "It was Monday.", "question": "cause"}
COPA |= {"label": 1, "idx": 7, "changed": False}

BELEBELE = {"link": "https://a.org/x", "question_number": 3, "flores_passage": "Rain fell. It was cold.\n"}
BELEBELE |= {"question": "What fell? ", "correct_answer_num": "2", "dialect": "eng_Latn"}
BELEBELE |= {f"mc_answer{i}": text for i, text in enumerate(("Snow", "Rain", "Hail", "Leaves"), start=1)}

STORY = {f"input_sentence_{i}": text for i, text in enumerate(("A sat.", "B ran.", "C ate.", "D slept."), start=1)}
STORY |= {"story_id": "s-1", "sentence_quiz1": "E woke.", "sentence_quiz2": "F left.", "answer_right_ending": 2}


def reading(**rows: list[dict]):
    """A reader over rows in memory; `et_dev` is the development split of Estonian."""

    def read(language: str, split: str) -> list[dict]:
        name = language if split == "test" else f"{language}_dev"
        return [row | {"row_index": i} for i, row in enumerate(rows[name])]

    return read


def copa(index: int, **changes: object) -> dict:
    """An XCOPA row with its own texts."""
    return COPA | {"premise": f"Thing {index} fell.", "idx": index, "label": index % 2} | changes


def pivot_and(language: str, read, task: str = "xcopa", protocol: str = "options", connectors="repaired", shots=0):
    """The pivot's and a language's instances, all of them."""
    found = TASKS[task]
    pivot = load_pivot(found, read, found.pivot, protocol, connectors, None, shots)
    return pivot, load_language(found, read, language, pivot, protocol, connectors, shots)


# --- rows to instances -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("question", "connector"), [("cause", "because"), ("effect", "therefore")])
def test_xcopa_joins_premise_connector_and_lowered_options(question: str, connector: str) -> None:
    made = xcopa.TASK.instance(COPA | {"question": question}, "en", "options")
    context = f"The man fell {connector}"
    assert made == Instance(
        instance_id="7",
        group="7",
        premise="The man fell.",
        context=context,
        options=("he slipped.", "it was Monday."),
        gold=1,
        prompt=context,
        continuations=("he slipped.", "it was Monday."),
        tags=(question,),
    )
    assert made.option_texts == (f"The man fell {connector} he slipped.", f"The man fell {connector} it was Monday.")


@pytest.mark.parametrize(
    ("language", "cause", "effect"),
    [
        ("it", "perché", "quindi"),
        ("sw", "kwa sababu", "kwa hiyo"),
        ("th", "เพราะ", "ดังนั้น"),
        ("tr", "çünkü", "bu yüzden"),
        ("zh", "因为", "所以"),
        ("et", "sest", "seetõttu"),
    ],
)
def test_xcopa_has_the_connectors_of_the_harness(language: str, cause: str, effect: str) -> None:
    made = [xcopa.TASK.instance(COPA | {"question": q}, language, "options").context for q in ("cause", "effect")]
    assert made == [f"The man fell {cause}", f"The man fell {effect}"]


@pytest.mark.parametrize(
    ("premise", "options", "harness"),
    [
        ("The man fell.", "The man fell because", "The man fell because"),
        ("物品用泡沫包装。", "物品用泡沫包装 because", "物品用泡沫包装 because"),
        ("เด็กนอนไม่หลับ", "เด็กนอนไม่หลับ because", "เด็กนอนไม่หลั because"),
        ("Who fell?", "Who fell? because", "Who fell because"),
        ("  The man fell.  ", "The man fell because", "The man fell because"),
    ],
)
def test_xcopa_drops_the_stop_and_the_harness_protocol_any_last_character(
    premise: str, options: str, harness: str
) -> None:
    row = COPA | {"premise": premise}
    assert xcopa.TASK.instance(row, "en", "options").context == options
    assert xcopa.TASK.instance(row, "en", "harness").context == harness


def test_xstorycloze_joins_the_four_sentences_and_keeps_the_endings() -> None:
    story = "A sat. B ran. C ate. D slept."
    endings = ("E woke.", "F left.")
    expected = Instance("s-1", "s-1", story, story, endings, 1, story, endings)
    assert xstorycloze.TASK.instance(STORY, "en", "options") == expected


def test_belebele_letters_prompt_is_the_published_one() -> None:
    made = belebele.TASK.instance(BELEBELE | {"flores_passage": "Rain fell."}, "eng_Latn", "letters")
    assert made.prompt == "P: Rain fell.\nQ: What fell?\nA: Snow\nB: Rain\nC: Hail\nD: Leaves\nAnswer:"
    assert made.continuations == ("A", "B", "C", "D")
    assert (made.gold, made.group, made.instance_id) == (1, "https://a.org/x", "https://a.org/x#3")


@pytest.mark.parametrize("protocol", ["letters", "options"])
def test_belebele_embeds_passage_question_and_option_whatever_is_scored(protocol: str) -> None:
    made = belebele.TASK.instance(BELEBELE | {"flores_passage": "Rain.", "question": "What?"}, "eng_Latn", protocol)
    assert made.premise == made.context == "Rain. What?"
    assert made.option_texts == ("Rain. What? Snow", "Rain. What? Rain", "Rain. What? Hail", "Rain. What? Leaves")


def test_belebele_options_protocol_scores_the_embedded_texts() -> None:
    made = belebele.TASK.instance(BELEBELE, "eng_Latn", "options")
    assert (made.prompt, made.continuations) == (made.context, made.options)


def test_flores_rows_are_plain_sentences() -> None:
    made = flores.TASK.instance({"text": " We have mice. \n", "row_index": 4}, "eng_Latn", "sentences")
    assert made == Instance("4", "4", "We have mice.")
    assert made.option_texts == ()


# --- few shots ---------------------------------------------------------------------------------------------------


def test_the_hub_is_asked_for_one_commit_of_each_language(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(*arguments: str, **options: str) -> list[dict]:
        asked.append((*arguments, options))
        return [{"text": "A sentence."}]

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert reader(TASKS["flores"], None)("zho_Hans", "test") == [{"text": "A sentence.", "row_index": 0}]
    ((repository, configuration, options),) = asked
    assert (repository, configuration, options["split"]) == ("openlanguagedata/flores_plus", "cmn_Hans", "devtest")
    for task in TASKS.values():
        for code in task.languages if task.origin else ():
            reader(task, None)(code, "test")
    pinned = re.compile(r"[0-9a-f]{40}|refs/convert/parquet")
    assert len(asked) > 300 and all(pinned.fullmatch(options["revision"]) for *_, options in asked)
    places = [(*where, options["split"]) for *where, options in asked[1:]]
    assert len(set(places)) == len(places), "two languages read the same rows"


def test_shots_are_prompt_and_gold_separated_by_a_blank_line() -> None:
    one = Instance("1", "1", "P", "C1", ("a", "b"), 1, "C1", ("a", "b"))
    two = Instance("2", "2", "P", "C2", ("c", "d"), 0, "C2", ("c", "d"))
    assert few_shot_prefix([one, two]) == "C1 b\n\nC2 c\n\n"
    assert few_shot_prefix([]) == ""


def test_shots_come_from_the_development_split_and_stand_before_the_scored_prompt_only() -> None:
    dev = [copa(90 + i, premise=f"Dev {i} broke.") for i in range(3)]
    read = reading(en=[copa(0)], en_dev=dev, it=[copa(0)], it_dev=dev)
    pivot, italian = pivot_and("it", read, shots=2)
    assert pivot.instances[0].prompt == (
        "Dev 0 broke because he slipped.\n\nDev 1 broke because it was Monday.\n\nThing 0 fell because"
    )
    assert italian.instances[0].prompt.startswith("Dev 0 broke perché he slipped.\n\n")
    assert pivot.instances[0].context == "Thing 0 fell because"
    assert len(pivot.instances) == 1


def passage(link: int, number: int) -> dict:
    """A Belebele row of the given passage."""
    return BELEBELE | {"link": f"p{link}", "question_number": number, "flores_passage": f"Passage {link}."}


def test_belebele_shots_are_left_out_of_the_evaluation_and_counted() -> None:
    rows = [passage(i, 1) for i in range(4)]
    pivot, other = pivot_and("swh_Latn", reading(eng_Latn=rows, swh_Latn=rows), "belebele", "letters", shots=2)
    assert [i.instance_id for i in pivot.instances] == ["p2#1", "p3#1"]
    assert pivot.counts == other.counts == {"used_as_shots": 2}
    assert pivot.instances[0].prompt.startswith("P: Passage 0.\nQ: What fell?\nA: Snow\nB: Rain")
    assert "\nAnswer: B\n\nP: Passage 1." in pivot.instances[0].prompt


def test_belebele_shots_are_the_same_questions_in_a_language_whose_rows_are_in_another_order() -> None:
    rows = [passage(i, 1) for i in range(4)]
    read = reading(eng_Latn=rows, swh_Latn=rows[::-1])
    pivot, other = pivot_and("swh_Latn", read, "belebele", "letters", shots=1)
    assert (
        [i.instance_id for i in other.instances] == [i.instance_id for i in pivot.instances] == ["p1#1", "p2#1", "p3#1"]
    )
    assert other.instances[0].prompt.startswith("P: Passage 0.")


# --- repairs -----------------------------------------------------------------------------------------------------


def test_a_connector_that_differs_from_english_is_repaired_and_counted() -> None:
    english = [copa(i, question="cause" if i < 2 else "effect") for i in range(4)]
    thai = [copa(i, question="effect") for i in range(4)]
    _, repaired = pivot_and("it", reading(en=english, it=thai))
    assert repaired.counts == {"connectors_repaired": 2}
    assert [i.context.split()[-1] for i in repaired.instances] == ["perché", "perché", "quindi", "quindi"]


def test_connectors_of_the_data_are_left_when_asked() -> None:
    english, italian = [copa(0, question="cause")], [copa(0, question="effect")]
    _, kept = pivot_and("it", reading(en=english, it=italian), connectors="data")
    assert kept.instances[0].context.endswith("quindi")
    assert kept.counts == {}


@pytest.mark.parametrize("connectors", ["repaired", "data"])
def test_hidden_english_labels_are_taken_from_estonian_by_id(connectors: str) -> None:
    english = [copa(i, label=-1) for i in range(4)]
    estonian = [copa(i, label=int(i in (1, 2))) for i in (3, 2, 1, 0)]
    read = reading(en=english, et=estonian)
    pivot = load_pivot(TASKS["xcopa"], read, "en", "options", connectors, None, 0)
    assert [i.gold for i in pivot.instances] == [0, 1, 1, 0]
    assert pivot.counts == {"gold_from_et": 4}


# --- joining -----------------------------------------------------------------------------------------------------


def test_rows_in_another_order_join_by_id() -> None:
    english = [copa(i) for i in range(5)]
    italian = [copa(i, premise=f"Cosa {i}.") for i in (3, 0, 4, 1, 2)]
    pivot, joined = pivot_and("it", reading(en=english, it=italian))
    assert [i.instance_id for i in joined.instances] == [i.instance_id for i in pivot.instances] == list("01234")
    assert [i.premise for i in joined.instances] == [f"Cosa {i}." for i in range(5)]


def test_instances_of_a_group_are_side_by_side_in_every_language() -> None:
    order = [(1, 1), (2, 1), (1, 2), (3, 1), (2, 2)]
    rows = [passage(*key) for key in order]
    pivot, other = pivot_and("swh_Latn", reading(eng_Latn=rows, swh_Latn=rows[::-1]), "belebele", "letters")
    assert [i.instance_id for i in pivot.instances] == ["p1#1", "p1#2", "p2#1", "p2#2", "p3#1"]
    assert [i.instance_id for i in other.instances] == [i.instance_id for i in pivot.instances]


@pytest.mark.parametrize(("ids", "words"), [((0, 1), "lacks 1"), ((0, 1, 2, 3), "has 1 more"), ((0, 1, 5), "lacks 1")])
def test_languages_with_other_instances_are_refused(ids: tuple[int, ...], words: str) -> None:
    read = reading(en=[copa(i) for i in range(3)], it=[copa(i) for i in ids])
    with pytest.raises(UserError, match=words):
        pivot_and("it", read)


def test_options_in_another_order_than_the_pivots_are_refused() -> None:
    read = reading(en=[copa(i, label=i % 2) for i in range(4)], it=[copa(i, label=int(i == 1)) for i in range(4)])
    with pytest.raises(UserError, match="right option of 1 instances is another"):
        pivot_and("it", read)


def test_a_limit_takes_the_first_instances_and_their_translations() -> None:
    task, read = TASKS["xcopa"], reading(en=[copa(i) for i in range(5)], it=[copa(i) for i in (4, 3, 2, 1, 0)])
    pivot = load_pivot(task, read, "en", "options", "repaired", 2, 0)
    joined = load_language(task, read, "it", pivot, "options", "repaired", 0)
    assert [i.instance_id for i in pivot.instances] == [i.instance_id for i in joined.instances] == ["0", "1"]


@pytest.mark.parametrize(("ids", "words"), [((0, 1, 2, 9), "has 1 more"), ((0, 1), None), ((0, 3), "lacks 1")])
def test_a_limit_does_not_hide_instances_that_the_pivot_lacks(ids: tuple[int, ...], words: str | None) -> None:
    """What the limit leaves out may be absent in the language; what the pivot does not know at all is an error."""
    task, read = TASKS["xcopa"], reading(en=[copa(i) for i in range(4)], it=[copa(i) for i in ids])
    pivot = load_pivot(task, read, "en", "options", "repaired", 2, 0)
    with pytest.raises(UserError, match=words) if words else nullcontext():
        load_language(task, read, "it", pivot, "options", "repaired", 0)


@pytest.mark.parametrize("gold", [float("inf"), 1.9, "1.5", None, "two"])
@pytest.mark.parametrize("row", [BELEBELE | {"correct_answer_num": None}, STORY | {"answer_right_ending": None}])
def test_an_answer_that_is_no_whole_number_is_not_in_the_schema(row: dict, gold: object) -> None:
    task, field = ("belebele", "correct_answer_num") if "link" in row else ("xstorycloze", "answer_right_ending")
    read = reading(**{TASKS[task].pivot: [row | {field: gold}]})
    with pytest.raises(UserError, match="not in the upstream schema"):
        load_pivot(TASKS[task], read, TASKS[task].pivot, "options", "repaired", None, 0)


def test_half_a_character_in_an_id_is_told() -> None:
    read = reading(eng_Latn=[BELEBELE | {"question_number": "\ud800"}])
    with pytest.raises(UserError, match="half a surrogate pair"):
        load_pivot(belebele.TASK, read, "eng_Latn", "options", "repaired", None, 0)


# --- real data ---------------------------------------------------------------------------------------------------

REPAIRED = {"th": 250, "tr": 51, "sw": 37, "id": 4, "it": 4}


@pytest.mark.shared
@pytest.mark.parametrize(
    ("task", "count"), [("xcopa", 500), ("xstorycloze", 1511), ("belebele", 900), ("flores", 1012)]
)
def test_every_language_of_the_real_data_has_all_instances(shared_data: Path, task: str, count: int) -> None:
    from crossalign.tasks import local_languages

    found = TASKS[task]
    read = reader(found, shared_data)
    pivot = load_pivot(found, read, found.pivot, found.protocols[0], "repaired", None, 0)
    assert len(pivot.instances) == count
    languages = local_languages(found, shared_data)
    assert len(languages) == {"xcopa": 12, "xstorycloze": 11, "belebele": 12, "flores": 20}[task]
    for code in languages:
        loaded = load_language(found, read, code, pivot, found.protocols[0], "repaired", 0)
        assert len(loaded.instances) == count
        if task == "xcopa":
            assert loaded.counts.get("connectors_repaired", 0) == REPAIRED.get(code, 0), code
            assert [i.gold for i in loaded.instances] == [i.gold for i in pivot.instances], code


@pytest.mark.shared
def test_the_real_belebele_has_488_passages_whose_questions_are_adjacent(shared_data: Path) -> None:
    read = reader(TASKS["belebele"], shared_data)
    pivot = load_pivot(TASKS["belebele"], read, "eng_Latn", "letters", "repaired", None, 0)
    groups = [i.group for i in pivot.instances]
    changes = sum(a != b for a, b in pairwise(groups)) + 1
    assert changes == len(set(groups)) == 488
