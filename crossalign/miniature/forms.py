"""The shapes in which the world is told: the same functions write the training lines and the evaluation items."""

from __future__ import annotations

from typing import NamedTuple

from crossalign.miniature.world import Script, World

HELD_OUT = 6
"""One in so many combinations of script, name and setting is kept for evaluation."""


class Scene(NamedTuple):
    """Where a story happens, by position: the same in every language.

    Attributes:
        setting: None for none.
        interlude: None for no sentence between setting and premise.
    """

    setting: int | None
    interlude: int | None = None


NOWHERE = Scene(None)


class Told(NamedTuple):
    """A story up to the point where an answer is due.

    Attributes:
        premise: the text without the cue for the answer.
        context: what stands before each answer; a space follows it.
    """

    premise: str
    context: str


def held_out(script: int, name: int, setting: int | None) -> bool:
    """Whether the combination is kept for evaluation; every pair of the three still occurs in training."""
    return setting is not None and (script + name + setting) % HELD_OUT == 0


def told_premise(w: World, script: Script, name: int) -> str:
    """The premise with its name."""
    return script.premise.replace("{name}", w.names[script.gender][name])


def opening(w: World, scene: Scene) -> list[str]:
    """Setting and interlude."""
    setting = [] if scene.setting is None else [w.settings[scene.setting][1]]
    between = [] if scene.interlude is None else [w.interludes[scene.interlude]]
    return [*setting, *between]


def closing(w: World, script: Script, scene: Scene) -> str:
    """The closing that fits the time of the scene's setting."""
    return script.closing(time(w, scene))


def time(w: World, scene: Scene) -> str:
    """The time of day, "morning" or "evening"; only a scene with a setting has one."""
    assert scene.setting is not None
    return w.settings[scene.setting][0]


def effect(w: World, script: Script, name: int, scene: Scene, asks: World | None = None) -> Told:
    """XCOPA shape: what followed? Answered by an ending. `asks` is the world of the cue, if it is another."""
    premise = told_so_far(w, script, name, scene)
    return Told(premise, joined(w, asks or w, premise, (asks or w).frames["effect"]))


def cause(w: World, script: Script, scene: Scene, asks: World | None = None) -> Told:
    """XCOPA shape: what was the reason? Answered by a premise."""
    premise = w.joined(*opening(w, scene), script.ending)
    return Told(premise, joined(w, asks or w, premise, (asks or w).frames["cause"]))


def story(w: World, script: Script, name: int, scene: Scene) -> Told:
    """XStoryCloze shape: setting, interlude, premise and ending. Answered by a closing, which depends on the time."""
    text = w.joined(told_so_far(w, script, name, scene), script.ending)
    return Told(text, text)


def result_question(w: World, script: Script, name: int, scene: Scene, asks: World | None = None) -> Told:
    """Belebele shape: what happened because of this? Answered by an ending."""
    return _asked(w, told_so_far(w, script, name, scene), (asks or w).frames["question_result"], asks or w)


def close_question(w: World, script: Script, name: int, scene: Scene, asks: World | None = None) -> Told:
    """Belebele shape: how did the story end? Answered by a closing: the ending is not told, and the time counts."""
    return _asked(w, told_so_far(w, script, name, scene), (asks or w).frames["question_close"], asks or w)


def person_question(
    w: World,
    scripts: tuple[Script, Script],
    names: tuple[int, int],
    asked: int,
    scene: Scene,
    asks: World | None = None,
) -> Told:
    """Belebele shape: two people did something; what came of it for one of them? Answered by that one's ending."""
    premises = [told_premise(w, script, name) for script, name in zip(scripts, names, strict=True)]
    gender, name = scripts[asked].gender, names[asked]
    asks = asks or w
    question = asks.frames[f"question_result_of_{gender}"].replace("{name}", asks.names[gender][name])
    return _asked(w, w.joined(*opening(w, scene), *premises), question, asks)


def told_so_far(w: World, script: Script, name: int, scene: Scene) -> str:
    """Opening and premise."""
    return w.joined(*opening(w, scene), told_premise(w, script, name))


def joined(w: World, other: World, text: str, more: str) -> str:
    """A text and what follows it, which may be in another language."""
    return text + (w.space if w is other else " ") + more


def _asked(w: World, passage: str, question: str, asks: World) -> Told:
    frames = asks.frames
    told = w.joined(w.frames["passage"], passage)
    premise = joined(w, asks, told, asks.joined(frames["question"], question))
    return Told(premise, asks.joined(premise, frames["answer"]))
