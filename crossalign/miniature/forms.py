"""The shapes in which the world is told: the same functions write the training lines and the evaluation items."""

from __future__ import annotations

from typing import NamedTuple

from crossalign.miniature.world import Script, World

HELD_OUT = 6
"""One in so many combinations of script, name and setting is kept for evaluation."""


class Scene(NamedTuple):
    """Where a story happens, by position: the same in every language.

    Attributes:
        interlude: None for no sentence between setting and premise.
    """

    setting: int
    interlude: int | None = None


class Told(NamedTuple):
    """A story up to the point where an answer is due.

    Attributes:
        premise: the text without the cue for the answer.
        context: what stands before each answer; a space follows it.
    """

    premise: str
    context: str


def held_out(script: int, name: int, setting: int) -> bool:
    """Whether the combination is kept for evaluation; every pair of the three still occurs in training."""
    return (script + name + setting) % HELD_OUT == 0


def told_premise(w: World, script: Script, name: int) -> str:
    """The premise with its name."""
    return script.premise.replace("{name}", w.names[script.gender][name])


def opening(w: World, scene: Scene) -> list[str]:
    """Setting and interlude."""
    between = [] if scene.interlude is None else [w.interludes[scene.interlude]]
    return [w.settings[scene.setting][1], *between]


def closing(w: World, script: Script, scene: Scene) -> str:
    """The closing that fits the scene's time."""
    return script.closing(w.settings[scene.setting][0])


def effect(w: World, script: Script, name: int, scene: Scene) -> Told:
    """XCOPA shape: what followed? Answered by an ending."""
    premise = w.joined(*opening(w, scene), told_premise(w, script, name))
    return Told(premise, w.joined(premise, w.frames["effect"]))


def cause(w: World, script: Script, scene: Scene) -> Told:
    """XCOPA shape: what was the reason? Answered by a premise."""
    premise = w.joined(*opening(w, scene), script.ending)
    return Told(premise, w.joined(premise, w.frames["cause"]))


def story(w: World, script: Script, name: int, scene: Scene) -> Told:
    """XStoryCloze shape: setting, interlude, premise and ending. Answered by a closing, which depends on the time."""
    text = w.joined(*opening(w, scene), told_premise(w, script, name), script.ending)
    return Told(text, text)


def result_question(w: World, script: Script, name: int, scene: Scene) -> Told:
    """Belebele shape: what happened because of this? Answered by an ending."""
    return _asked(w, _told_so_far(w, script, name, scene), w.frames["question_result"])


def close_question(w: World, script: Script, name: int, scene: Scene) -> Told:
    """Belebele shape: how did the story end? Answered by a closing: the ending is not told, and the time counts."""
    return _asked(w, _told_so_far(w, script, name, scene), w.frames["question_close"])


def person_question(w: World, scripts: tuple[Script, Script], names: tuple[int, int], asked: int, scene: Scene) -> Told:
    """Belebele shape: two people did something; what came of it for one of them? Answered by that one's ending."""
    premises = [told_premise(w, script, name) for script, name in zip(scripts, names, strict=True)]
    script = scripts[asked]
    question = w.frames[f"question_result_of_{script.gender}"].replace("{name}", w.names[script.gender][names[asked]])
    return _asked(w, w.joined(*opening(w, scene), *premises), question)


def _told_so_far(w: World, script: Script, name: int, scene: Scene) -> str:
    return w.joined(*opening(w, scene), told_premise(w, script, name))


def _asked(w: World, passage: str, question: str) -> Told:
    frames = w.frames
    context = w.joined(frames["passage"], passage, frames["question"], question, frames["answer"])
    return Told(f"{passage} {question}", context)
