"""The controlled experiment is what it says: nothing evaluated was trained on, nothing withheld slips in."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache
from itertools import chain, islice, pairwise
from typing import NamedTuple

import pytest

from crossalign import tasks
from crossalign.miniature import forms
from crossalign.miniature.corpus import BRIDGE, FACT, MIXTURE, Lesson, Line, lines
from crossalign.miniature.recipe import Recipe
from crossalign.miniature.world import BRIDGED, LANGUAGES, LINKS, PIVOT, SEEN, UNLINKED, world

TASKS = ("miniature-copa", "miniature-story", "miniature-reading", "miniature-parallel")
PHASES = Recipe().phases
TAUGHT = [phase.lesson.lines if phase.lesson else 0 for phase in PHASES]
"""Lines of each phase that belong to its lesson."""


class Clause(NamedTuple):
    language: str
    role: str
    script: int
    name: int = -1


Known = tuple[dict[str, Clause], dict[str, tuple[str, int]], set[str]]


def known() -> Known:
    """Every sentence there is: clauses of scripts, settings, and the rest."""
    clauses, settings, rest = {}, {}, set()
    for code in LANGUAGES:
        w = world(code)
        for s in w.scripts:
            for name in range(len(w.names[s.gender])):
                clauses[forms.told_premise(w, s, name)] = Clause(code, "premise", s.number, name)
            clauses[s.ending] = Clause(code, "ending", s.number)
            clauses[s.closing_morning] = clauses[s.closing_evening] = Clause(code, "closing", s.number)
        settings |= {text: (code, number) for number, (_, text) in enumerate(w.settings)}
        rest |= set(w.interludes) | {w.frames["question_result"], w.frames["question_close"]}
        for gender in ("f", "m"):
            question = w.frames[f"question_result_of_{gender}"]
            rest |= {part for n in w.names[gender] for part in sentences(question.replace("{name}", n))}
    return clauses, settings, rest


def sentences(text: str) -> list[str]:
    return [s.strip() for s in re.findall(r"[^.!?。！？؟]+[.!?。！？؟]+", text)]


def unlabelled(sentence: str) -> str:
    """Without a label such as "Answer:" before it."""
    return re.sub(r"^[^:：]{1,30}[:：]\s*", "", sentence)


@pytest.fixture(scope="module")
def streams() -> list[list[Line]]:
    """All that is trained on, by phase. In a process of its own, where no argument is checked: that takes ten times as long."""
    told = "import json, sys; from itertools import islice; from crossalign.miniature import corpus, recipe\n"
    told += "phases, seed = recipe.Recipe().phases, recipe.Recipe().stream_seed\n"
    told += "streams = [islice(corpus.lines(seed(k), p.mixture, p.lesson), p.lines) for k, p in enumerate(phases)]\n"
    told += "json.dump([list(stream) for stream in streams], sys.stdout)"
    written = subprocess.run([sys.executable, "-c", told], capture_output=True, check=True).stdout
    return [[Line(*fields) for fields in stream] for stream in json.loads(written)]


@pytest.fixture(scope="module")
def stream(streams: list[list[Line]]) -> list[Line]:
    return list(chain.from_iterable(streams))


def test_lessons_end_within_their_phase() -> None:
    assert all(taught <= phase.lines for taught, phase in zip(TAUGHT, PHASES, strict=True))


def parts_of(text: str, known_sentences: Known) -> list[tuple[list[Clause], set[int]]]:
    """The clauses and the settings of each line of the text; every sentence must be one of the world's."""
    clauses, settings, rest = known_sentences
    parts = []
    for part in text.split("\n"):
        told, where = [], set()
        for sentence in sentences(part):
            bare = sentence if sentence in clauses or sentence in settings else unlabelled(sentence)
            told += [clauses[bare]] if bare in clauses else []
            where |= {settings[bare][1]} if bare in settings else set()
            assert bare in clauses or bare in settings or bare in rest, (bare, text)
        parts.append((told, where))
    return parts


def test_the_stream_holds_no_evaluated_combination_and_no_withheld_link(stream: list[Line]) -> None:
    everything, links, held_out = known(), links_of_all(), cache(forms.held_out)
    together: Counter = Counter()
    for line in stream:
        parts = parts_of(line.text, everything)
        for told, where in parts:
            assert len(where) <= 1
            premises = [c for c in told if c.role == "premise"]
            assert not any(held_out(c.script, c.name, setting) for c in premises for setting in where), line
        clauses = [clause for told, _ in parts for clause in told]
        together.update(links_shown(clauses))
        assert_no_answer_to_a_withheld_fact(clauses, links, line)
    # The rule bites: every language shows each link it may show, and none of the others.
    for (code, script), link in links.items():
        within, across = together[code, script, "within"], together[code, script, "across"]
        assert (within > 0) == (link == SEEN), (code, script)
        assert (across > 0) == (link != UNLINKED and code != PIVOT), (code, script)


def links_of_all() -> dict[tuple[str, int], str]:
    """(language, script) → how the language knows the script's facts."""
    return {(code, script.number): world(code).link(script) for code in LANGUAGES for script in world(code).scripts}


def assert_no_answer_to_a_withheld_fact(told: list[Clause], links: dict[tuple[str, int], str], line: Line) -> None:
    """Of a fact that is withheld from a language, clauses in the language come first and those in the pivot follow."""
    for earlier, later in pairwise(told):
        if earlier.script == later.script and earlier.role != later.role and later.language != PIVOT:
            assert links[later.language, later.script] == SEEN, line


def links_shown(told: list[Clause]) -> set[tuple[str, int, str]]:
    """(language, script, "within" or "across"): two different clauses of the script stand in one line."""
    shown = set()
    for one in told:
        for other in told:
            if one.script == other.script and one.role != other.role and one.language != PIVOT:
                shown.add((one.language, one.script, "within" if one.language == other.language else "across"))
            elif one.script == other.script and one.role != other.role and other.language == PIVOT:
                shown.add((PIVOT, one.script, "within"))
    return shown


def test_shares_are_those_of_the_design(stream: list[Line]) -> None:
    whole, expected = Counter(line.language for line in stream), Recipe().expected_shares()
    assert sum(expected.values()) == pytest.approx(1, abs=0.001)
    assert sum(world(code).share for code in LANGUAGES) == pytest.approx(1)
    assert MIXTURE.shares() == pytest.approx({code: world(code).share for code in LANGUAGES})
    for code in LANGUAGES:
        assert whole[code] / len(stream) == pytest.approx(expected[code], rel=0.05)
    assert {line.kind for line in stream if line.language == PIVOT} == set(list(MIXTURE.kinds)[:2])


def test_after_its_lesson_a_phase_is_its_mixture(streams: list[list[Line]]) -> None:
    def is_as_drawn(counts: Counter, weights: dict[str, float]) -> bool:
        n = sum(counts.values())
        return all(counts[key] / n == pytest.approx(p, rel=0.05) for key, p in weights.items())

    told = [(stream[taught:], phase) for stream, taught, phase in zip(streams, TAUGHT, PHASES, strict=True)]
    assert sum(len(lines) > 10_000 for lines, _ in told) >= 2  # one is taught to its end
    for lines_after, phase in told:
        if lines_after:
            assert is_as_drawn(Counter(line.language for line in lines_after), phase.mixture.shares())
            assert is_as_drawn(
                Counter(line.kind for line in lines_after if line.language != PIVOT), dict(phase.mixture.kinds)
            )


def test_with_a_smaller_exponent_the_small_languages_get_more_and_the_order_stays() -> None:
    flat, even = replace(MIXTURE, alpha=0.4).shares(), replace(MIXTURE, alpha=0.0).shares()
    by_share = sorted(LANGUAGES, key=lambda code: world(code).share)
    assert sorted(LANGUAGES, key=flat.__getitem__) == by_share
    assert flat[by_share[0]] / flat[by_share[-1]] == pytest.approx(
        (world(by_share[0]).share / world(PIVOT).share) ** 0.4
    )
    assert even == pytest.approx(dict.fromkeys(LANGUAGES, 1 / len(LANGUAGES)))


def test_a_stream_begins_with_its_lesson_in_the_pivot_which_gives_way_to_the_mixture() -> None:
    told = list(islice(lines(7, lesson=Lesson({"story": 2, "close": 1}, 4000)), 4000))
    closings = [{c for s in world(code).scripts for c in (s.closing_morning, s.closing_evening)} for code in LANGUAGES]
    stories = [any(line.answer.endswith(c) for c in set().union(*closings)) for line in told]
    assert all(stories[:20])
    parts = [sum(stories[k : k + 1000]) for k in range(0, 4000, 1000)]
    assert parts == sorted(parts, reverse=True)
    pivot = [sum(line.language == PIVOT for line in told[k : k + 1000]) for k in range(0, 4000, 1000)]
    assert pivot[0] > 700
    assert pivot[-1] < 300


def test_the_stream_is_the_same_for_the_same_seed() -> None:
    first, again, other = (list(islice(lines(seed), 200)) for seed in (3, 3, 4))
    assert first == again != other


def test_a_late_bridge_changes_language_after_the_answer() -> None:
    clauses, _, _ = known()
    late = replace(MIXTURE, kinds={FACT: 0.5, BRIDGE: 0.5}, late_bridges=1.0)
    told = [line for line in islice(lines(9, late), 4000) if line.kind == BRIDGE]
    directions = Counter()
    for line in told:
        found = [clauses[s] for s in map(unlabelled, sentences(line.text)) if s in clauses]
        *before, last = found
        (first,) = {clause.language for clause in before}
        assert last.role == "closing" and len(before) >= 2
        assert {first, last.language} == {PIVOT, line.language}
        assert world(line.language).link(world(line.language).scripts[last.script]) == SEEN
        directions[first == PIVOT] += 1
    assert directions[False] > directions[True] > 0


def test_with_late_bridges_a_closing_may_follow_an_answer_about_people() -> None:
    clauses, _, _ = known()
    for late in (0.0, 0.5):
        mixture = replace(MIXTURE, kinds={FACT: 1.0}, shapes={"person": 1.0}, late_bridges=late)
        last = Counter(clauses[sentences(line.answer)[-1]].role for line in islice(lines(9, mixture), 400))
        assert set(last) == ({"ending", "closing"} if late else {"ending"})


def test_withheld_sets_are_nested_and_the_pivot_has_everything() -> None:
    withheld = [{t for t, link in world(code).links.items() if link != SEEN} for code in LANGUAGES]
    ordered = sorted(withheld, key=len)
    assert ordered[0] == set() == withheld[LANGUAGES.index(PIVOT)]
    assert all(a <= b for a, b in pairwise(ordered))
    shares = sorted(LANGUAGES, key=lambda code: -world(code).share)
    assert shares[0] == PIVOT
    assert [len([v for v in world(c).links.values() if v != SEEN]) for c in shares] == sorted(map(len, withheld))
    for links in (world(code).links for code in LANGUAGES):
        assert set(links.values()) <= set(LINKS)
    smallest = world(shares[-1]).links.values()
    assert {SEEN, BRIDGED, UNLINKED} == set(smallest)


def instances(name: str, code: str) -> list:
    task = tasks.find_task(name)
    read = tasks.reader(task, None)
    pivot = tasks.load_pivot(task, read, task.pivot, task.protocols[0], "repaired", None, 0)
    loaded = tasks.load_language(task, read, code, pivot, task.protocols[0], "repaired", 0)
    return list(loaded.instances)


@pytest.mark.parametrize("name", TASKS)
def test_items_are_the_same_questions_in_every_language(name: str) -> None:
    english = instances(name, PIVOT)
    assert len(english) >= 200
    assert len({i.premise for i in english}) > len(english) / 4
    for code in LANGUAGES:
        mine = instances(name, code)
        assert [(i.instance_id, i.group, i.gold) for i in mine] == [(i.instance_id, i.group, i.gold) for i in english]
        assert "{name}" not in " ".join(t for i in mine for t in (i.premise, i.context, *i.options))
        for one in mine:
            assert len(set(one.options)) == len(one.options)


@pytest.mark.parametrize("name", TASKS)
def test_every_item_is_a_combination_that_was_held_out(name: str) -> None:
    clauses, settings, _ = known()
    for code in LANGUAGES:
        for one in instances(name, code):
            texts = [one.premise] if one.gold is None else [one.premise, one.options[one.gold]]
            told = [unlabelled(s) for t in texts for s in sentences(t)]
            where = {settings[s][1] for s in told if s in settings}
            premises = [clauses[s] for s in told if s in clauses and clauses[s].role == "premise"]
            assert len(where) == 1
            assert premises
            for clause in premises:
                assert clause.language == code
                assert forms.held_out(clause.script, clause.name, min(where)), one


@pytest.mark.parametrize("name", TASKS[:3])
def test_distractors_vary_and_are_known_exactly_as_well_as_the_answer(name: str) -> None:
    clauses, _, _ = known()
    for code in LANGUAGES:
        w = world(code)
        distractors = defaultdict(set)
        for one in instances(name, code):
            answered = [clauses[o] for o in one.options]
            right = answered[one.gold]
            assert len({c.role for c in answered}) == 1
            for clause in answered:
                assert w.link(w.scripts[clause.script]) == w.link(w.scripts[right.script])
            assert one.tags[-1] == w.link(w.scripts[right.script])
            distractors[right.script] |= set(one.options) - {one.options[one.gold]}
        assert len(distractors) == len(w.scripts)
        assert min(map(len, distractors.values())) >= 3


@pytest.mark.parametrize("name", TASKS[:3])
def test_the_place_of_the_right_option_says_nothing(name: str) -> None:
    items = instances(name, PIVOT)
    k = len(items[0].options)
    for tags in {None, *(i.tags[0] for i in items)}:
        places = Counter(i.gold for i in items if tags in (None, i.tags[0]))
        assert len(places) == k
        assert max(places.values()) - min(places.values()) <= 0.34 * sum(places.values()) / k, (tags, places)


def test_a_training_line_is_told_as_an_item_is() -> None:
    """The cue before an answer is the same text in training and in evaluation, in every shape."""
    facts = [line.text for line in islice(lines(5), 4000) if line.kind == FACT and line.language == PIVOT]
    w = world(PIVOT)
    for name, cue in (("miniature-copa", "effect"), ("miniature-copa", "cause"), ("miniature-reading", "answer")):
        ends = [i.context.rsplit(" ", 2)[-2:] for i in instances(name, PIVOT)]
        assert any(" ".join(end).endswith(w.frames[cue]) for end in ends)
        assert any(f" {w.frames[cue]} " in text for text in facts)
