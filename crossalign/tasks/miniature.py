"""The miniature's four tasks: original texts in ten languages that come with the package.

Every item is made of a combination of script, name and setting that the miniature model never saw in any language. Names,
settings, distractors and the place of the gold option depend on positions only, so they are the same in every language.
Distractors belong to the script's own theme, so they are withheld from a language exactly where the answer is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crossalign.miniature import forms
from crossalign.miniature.forms import Scene, Told
from crossalign.miniature.world import LANGUAGES, PIVOT, Script, World, world
from crossalign.schema import Instance
from crossalign.tasks.records import Row, Rows, Task

VARIANTS = 3
"""Items of a script in each task."""


def _name_and_scene(w: World, script: Script, variant: int, interlude: bool = True) -> tuple[int, Scene]:
    """A held-out combination, another one for each variant."""
    turn = script.number * VARIANTS + variant
    setting = (script.number * 5 + variant * 7) % len(w.settings)
    names = [n for n in range(len(w.names[script.gender])) if forms.held_out(script.number, n, setting)]
    return names[turn % len(names)], Scene(setting, turn % len(w.interludes) if interlude else None)


def _alike(w: World, script: Script) -> list[Script]:
    """The other scripts of its theme whose person has the same gender: its distractors, another order for each script."""
    others = [s for s in w.scripts if (s.theme, s.gender) == (script.theme, script.gender) and s != script]
    start = script.number % len(others)
    return others[start:] + others[:start]


def _row(identity: str, group: str, told: Told, options: Sequence[str], turn: int, tags: tuple[str, ...]) -> Row:
    """An item from its options, right one first; `turn` places the gold."""
    gold = turn % len(options)
    placed = [*options[1:]]
    placed.insert(gold, options[0])
    return {"id": identity, "group": group, "told": told, "options": tuple(placed), "gold": gold, "tags": tags}


def _copa_rows(w: World) -> Rows:
    """Each script with each distractor, as an effect or as a cause."""
    rows = []
    for script in w.scripts:
        for variant, other in enumerate(_alike(w, script)):
            name, scene = _name_and_scene(w, script, variant, interlude=variant == 0)
            relation = ("effect", "cause")[(script.number + variant) % 2]
            if relation == "effect":
                told, options = forms.effect(w, script, name, scene), (script.ending, other.ending)
            else:
                told = forms.cause(w, script, scene)
                options = (forms.told_premise(w, script, name), forms.told_premise(w, other, name))
            identity = f"{script.script_id}.{other.script_id}.{relation}"
            turn = script.number // 2 + variant
            rows.append(_row(identity, script.script_id, told, options, turn, (relation, w.link(script))))
    return rows


def _story_rows(w: World) -> Rows:
    """Each script against its own closing for the other time of day, and against the closings of two other scripts."""
    rows = []
    for script in w.scripts:
        others = [script, *_alike(w, script)][:VARIANTS]
        for variant, other in enumerate(others):
            name, scene = _name_and_scene(w, script, variant)
            wrong = _closing_at_other_time(w, script, scene) if other is script else forms.closing(w, other, scene)
            options = (forms.closing(w, script, scene), wrong)
            kind = "time" if other is script else "event"
            identity = f"{script.script_id}.{other.script_id}.{kind}"
            told, turn = forms.story(w, script, name, scene), script.number + variant
            rows.append(_row(identity, script.script_id, told, options, turn, (kind, w.link(script))))
    return rows


def _closing_at_other_time(w: World, script: Script, scene: Scene) -> str:
    return script.closing_evening if forms.time(w, scene) == "morning" else script.closing_morning


def _reading_rows(w: World) -> Rows:
    """Two questions on every passage: about one person's story, and about two people's."""
    rows = []
    for script in w.scripts:
        rows += _one_person_rows(w, script)
    women = [s for s in w.scripts if s.gender == "f"]
    for woman in women:
        place = [s for s in women if s.theme == woman.theme].index(woman)
        man = [s for s in w.scripts if s.theme == woman.theme and s.gender == "m"][place]
        rows += _two_people_rows(w, woman, man)
    return rows


def _one_person_rows(w: World, script: Script) -> Rows:
    name, scene = _name_and_scene(w, script, 1)
    others, turn = _alike(w, script), script.number
    result = (script.ending, *(s.ending for s in others))
    close = (
        forms.closing(w, script, scene),
        _closing_at_other_time(w, script, scene),
        *(forms.closing(w, s, scene) for s in others[:2]),
    )
    asked = {
        "result": (forms.result_question(w, script, name, scene), result),
        "close": (forms.close_question(w, script, name, scene), close),
    }
    return [
        _row(f"{script.script_id}.{kind}", script.script_id, told, options, turn + len(kind), (kind, w.link(script)))
        for kind, (told, options) in asked.items()
    ]


def _two_people_rows(w: World, woman: Script, man: Script) -> Rows:
    """The passage tells of the woman first in every other theme; both combinations are held out."""
    name, scene = _name_and_scene(w, woman, 2, interlude=False)
    his = next(n for n in range(len(w.names[man.gender])) if forms.held_out(man.number, n, scene.setting))
    swap = woman.number // 8 % 2 == 1
    pair, names = ((man, woman), (his, name)) if swap else ((woman, man), (name, his))
    group = f"{woman.script_id}+{man.script_id}"
    rows = []
    for asked, (script, other) in enumerate((pair, pair[::-1])):
        wrong = (other.ending, _alike(w, script)[0].ending, _alike(w, other)[0].ending)
        told = forms.person_question(w, pair, names, asked, scene)
        options, turn = (script.ending, *wrong), woman.number + asked
        rows.append(_row(f"{group}.{script.script_id}", group, told, options, turn, ("person", w.link(script))))
    return rows


def _parallel_rows(w: World) -> Rows:
    """Opening and premise of each script, in held-out combinations."""
    rows = []
    for variant in range(VARIANTS):
        for script in w.scripts:
            name, scene = _name_and_scene(w, script, variant, interlude=variant == 0)
            text = w.joined(*forms.opening(w, scene), forms.told_premise(w, script, name))
            identity = f"{script.script_id}.{variant}"
            told, tags = Told(text, ""), (w.link(script),)
            rows.append({"id": identity, "group": script.script_id, "told": told, "tags": tags})
    return rows


def _instance(row: Row, language: str, protocol: str) -> Instance:
    told, tags = row["told"], row["tags"]
    if "options" not in row:
        return Instance(row["id"], row["group"], told.premise, tags=tags)
    scored = (told.context, row["options"])
    return Instance(row["id"], row["group"], told.premise, *scored, row["gold"], *scored, tags=tags)


def _task(name: str, title: str, n_options: int, rows: Callable[[World], Rows]) -> Task:
    return Task(
        name=name,
        title=title,
        languages=LANGUAGES,
        pivot=PIVOT,
        n_options=n_options,
        protocols=("options",) if n_options else ("sentences",),
        instance=_instance,
        rows=lambda language, split: rows(world(language)),
        dev=False,
        source="original texts of this project (MIT)",
    )


COPA = _task("miniature-copa", "Miniature COPA", 2, _copa_rows)
STORY = _task("miniature-story", "Miniature stories", 2, _story_rows)
READING = _task("miniature-reading", "Miniature reading", 4, _reading_rows)
PARALLEL = _task("miniature-parallel", "Miniature parallel sentences", 0, _parallel_rows)
