"""The training text of the miniature model: an endless stream of lines, made from the world by a seeded generator.

Two rules hold over the whole stream and are tested over it. A combination of script, name and setting that is held out
for evaluation never occurs. No two clauses of a script whose facts are withheld from a language stand in one line in that
language; its clauses occur there alone and in translation, and, where the fact is bridged, before an answer in the pivot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from random import Random
from typing import NamedTuple

from crossalign.languages import language
from crossalign.miniature import forms
from crossalign.miniature.forms import NOWHERE, Scene
from crossalign.miniature.world import BRIDGED, LANGUAGES, PIVOT, SEEN, Script, World, world

FACT, CLAUSE, TRANSLATION, BRIDGE = "fact", "clause", "translation", "bridge"
Weights = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Mixture:
    """What the text is made of.

    Attributes:
        kinds: of line in a language, with their weights; the pivot has facts and clauses only, in the same proportion.
        shapes: in which a fact is told, with their weights.
        alpha: exponent of the languages' shares, as multilingual models sample their text: below 1 the small languages
            get more.
        late_bridges: part of the bridge lines that change language after the answer, not before it. Where there are any, a
            closing may follow answers about people too.
    """

    kinds: Weights
    shapes: Weights
    alpha: float = 1.0
    late_bridges: float = 0.0

    def shares(self) -> dict[str, float]:
        """Each language's part of the lines; they add up to 1."""
        raised = {code: world(code).share ** self.alpha for code in LANGUAGES}
        return {code: share / sum(raised.values()) for code, share in raised.items()}


MIXTURE = Mixture(
    kinds={FACT: 0.27, CLAUSE: 0.02, TRANSLATION: 0.46, BRIDGE: 0.25},
    shapes={"story": 5, "effect": 3, "cause": 3, "result": 1, "close": 3, "person": 1},
)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a stream begins with: facts in a few shapes, at first in the pivot, which give way to the mixture.

    Attributes:
        shapes: of the facts, with their weights.
        lines: over which they become rarer, from all to none, and their part in the pivot falls to its share.
    """

    shapes: Weights
    lines: int


SEGMENTS = {"premise": 5, "ending": 3, "closing": 3, "opening": 1}
"""Weights of what a translation line translates."""

CONTINUED = 0.75
"""How often a story goes on after an answer. What a state at the end of an answer has to know is what comes next."""

REVERSED = 0.3
"""Part of the bridge lines that begin in the pivot."""

BARE = 0.4
"""How often a premise to be translated stands without setting and interlude."""

PLAIN = 0.5
"""How often an effect or a cause is told without setting and interlude."""

INTERLUDES = 0.25
"""How often there is a sentence between setting and premise."""


class Text(NamedTuple):
    """One document in two pieces: what is told, and what has to follow from it."""

    cue: str
    answer: str


class Line(NamedTuple):
    """One document of the training text. `language` is the one whose share it counts against."""

    kind: str
    language: str
    cue: str
    answer: str

    @property
    def text(self) -> str:
        return self.cue + self.answer


def lines(seed: int, mixture: Mixture = MIXTURE, lesson: Lesson | None = None) -> Iterator[Line]:
    """The training text, without end; the same for the same arguments.

    Args:
        seed: of every choice.
        lesson: what it begins with; None for the mixture from the start.
    """
    rng = Random(seed)
    worlds = {code: world(code) for code in LANGUAGES}
    shares = mixture.shares()
    for position in count():
        left = max(0.0, 1 - position / lesson.lines) if lesson else 0.0
        taught = lesson.shapes if lesson and rng.random() < left else None
        # One language has to know it before the others can follow.
        code = PIVOT if taught and rng.random() < left**2 else _drawn(rng, shares)
        kind = _drawn(rng, {k: w for k, w in mixture.kinds.items() if _is_told(k, code, taught is not None)})
        now = replace(mixture, shapes=taught) if taught else mixture
        yield Line(kind, code, *_WRITERS[kind](rng, worlds[code], worlds[PIVOT], now))


def _drawn(rng: Random, weights: Weights) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def _is_told(kind: str, code: str, taught: bool) -> bool:
    """A lesson has facts and bridges; what needs another language, the pivot has not."""
    return (kind in (FACT, BRIDGE) or not taught) and (kind in (FACT, CLAUSE) or code != PIVOT)


class _Worlds(NamedTuple):
    """In which a fact is told, its question answered, and what follows the answer."""

    told: World
    answer: World
    after: World


def _fact(rng: Random, w: World, pivot: World, mixture: Mixture) -> Text:
    """A fact that this language is shown."""
    return _told(rng, _Worlds(w, w, w), _known(w.language, SEEN), mixture)


def _bridge(rng: Random, w: World, pivot: World, mixture: Mixture) -> Text:
    """A fact that begins in the language and goes on in the pivot; one that the language is shown also the other way.

    Where the language changes late, the answer is still in the first: only of a fact that it is shown.
    """
    late = mixture.late_bridges > 0 and rng.random() < mixture.late_bridges
    reverse = rng.random() < REVERSED
    first, second = (pivot, w) if reverse else (w, pivot)
    links = (SEEN,) if late or reverse else (SEEN, BRIDGED)
    return _told(rng, _Worlds(first, first if late else second, second), _known(w.language, *links), mixture)


@cache
def _known(code: str, *links: str) -> tuple[Script, ...]:
    """The scripts whose facts a language knows in one of these ways."""
    return tuple(s for s in world(code).scripts if world(code).link(s) in links)


def _told(rng: Random, worlds: _Worlds, scripts: Sequence[Script], mixture: Mixture) -> Text:
    """A fact in one of the shapes."""
    w, rest, after = worlds
    shape = _drawn(rng, mixture.shapes)
    number = rng.choice(scripts).number
    script, answered = w.scripts[number], rest.scripts[number]
    scene = _scene(rng)
    if shape == "person":
        return _person(rng, worlds, script, scene, mixture.late_bridges > 0)
    name, scene = _free(rng, script, scene)
    late = after is not rest
    closing = f" {forms.closing(after, after.scripts[number], scene)}"
    more = closing if late or rng.random() < CONTINUED else ""
    if not late and shape in ("effect", "cause") and rng.random() < PLAIN:
        # Without a setting nothing tells the time, so no closing follows.
        scene, more = NOWHERE, ""
    if shape == "effect":
        return Text(forms.effect(w, script, name, scene, rest).context, f" {answered.ending}{more}")
    if shape == "cause":
        reason = forms.told_premise(rest, answered, name)
        return Text(forms.cause(w, script, scene, rest).context, f" {reason}{more}")
    if shape == "result":
        return Text(forms.result_question(w, script, name, scene, rest).context, f" {answered.ending}{more}")
    if shape == "close":
        # Nothing follows a closing but itself again, in the other language.
        answer = f" {forms.closing(rest, answered, scene)}"
        return Text(forms.close_question(w, script, name, scene, rest).context, answer + (closing if late else ""))
    told = forms.told_so_far(w, script, name, scene)
    return Text(told, f"{forms.joined(w, rest, '', answered.ending)}{closing}")


def _person(rng: Random, worlds: _Worlds, script: Script, scene: Scene, goes_on: bool) -> Text:
    """Two people of one theme, in either order, and a question about the script's own."""
    w, rest, after = worlds
    other = rng.choice(_companions(w.language, script))
    while True:
        names = [rng.randrange(len(w.names[s.gender])) for s in (script, other)]
        if not any(forms.held_out(s.number, n, scene.setting) for s, n in zip((script, other), names, strict=True)):
            break
    order = (0, 1) if rng.random() < 0.5 else (1, 0)
    scripts, ordered = [script, other], [names[i] for i in order]
    pair = (scripts[order[0]], scripts[order[1]])
    told = forms.person_question(w, pair, (ordered[0], ordered[1]), order.index(0), scene, rest)
    more = ""
    if goes_on and (after is not rest or rng.random() < CONTINUED):
        more = f" {forms.closing(after, after.scripts[script.number], scene)}"
    return Text(told.context, f" {rest.scripts[script.number].ending}{more}")


@cache
def _companions(code: str, script: Script) -> tuple[Script, ...]:
    """The scripts of the same theme about somebody of the other gender."""
    return tuple(s for s in world(code).scripts if s.theme == script.theme and s.gender != script.gender)


def _clause(rng: Random, w: World, pivot: World, mixture: Mixture) -> Text:
    """One clause of any script, alone or after an opening."""
    return Text("", _segment(rng, w, rng.choice(w.scripts))[0])


def _translation(rng: Random, w: World, pivot: World, mixture: Mixture) -> Text:
    """One to three sentences with their translations, in one direction, of different scripts."""
    source, target = (w, pivot) if rng.random() < 0.5 else (pivot, w)
    pairs = []
    for script in rng.sample(w.scripts, rng.choices((1, 2, 3), (2, 1, 1))[0]):
        segment = _segment(rng, w, script, pivot)
        texts = dict(zip((w.language, pivot.language), segment, strict=True))
        pairs.append(translation_pair(source.language, target.language, texts[source.language], texts[target.language]))
    text = "\n".join(pairs)
    start = text.index("\n") + len(f"\n{language(target.language).name}:")
    return Text(text[:start], text[start:])


def translation_pair(source: str, target: str, text: str, translation: str) -> str:
    """A sentence and its translation under the English names of their languages, as few-shot prompts show them."""
    return f"{language(source).name}: {text}\n{language(target).name}: {translation}"


def _segment(rng: Random, w: World, script: Script, *others: World) -> list[str]:
    """The same piece of text in several worlds: a premise with or without its opening, a lone clause, or an opening."""
    what = _drawn(rng, SEGMENTS)
    name, scene = _free(rng, script, _scene(rng))
    bare, evening = rng.random() < BARE, rng.random() < 0.5
    texts = []
    for one in (w, *others):
        mine = one.scripts[script.number]
        opening = forms.opening(one, scene)
        premise = forms.told_premise(one, mine, name)
        texts.append(
            {
                "premise": premise if bare else one.joined(*opening, premise),
                "ending": mine.ending,
                "closing": mine.closing_evening if evening else mine.closing_morning,
                "opening": one.joined(*opening),
            }[what]
        )
    return texts


def _scene(rng: Random) -> Scene:
    w = world(PIVOT)
    interlude = rng.randrange(len(w.interludes)) if rng.random() < INTERLUDES else None
    return Scene(rng.randrange(len(w.settings)), interlude)


def _free(rng: Random, script: Script, scene: Scene) -> tuple[int, Scene]:
    """A name and a scene that are not held out together with the script."""
    names = world(PIVOT).names[script.gender]
    while True:
        name = rng.randrange(len(names))
        if not forms.held_out(script.number, name, scene.setting):
            return name, scene
        scene = scene._replace(setting=rng.randrange(len(world(PIVOT).settings)))


_WRITERS = {FACT: _fact, CLAUSE: _clause, TRANSLATION: _translation, BRIDGE: _bridge}
