"""miniature-copa: cause or effect of an everyday event, 2 options, ten languages; comes with the package."""

from __future__ import annotations

from crossalign.miniature.world import LANGUAGES, Script, World, world
from crossalign.schema import Instance
from crossalign.tasks.records import Row, Rows, Task


def _rows(language: str, split: str) -> Rows:
    """Every script with each distractor of its theme and gender, once as an effect and once as a cause.

    The choice of name, setting and gold depends on positions only, so it is the same in every language.
    """
    mine = world(language)
    rows = []
    for number, script in enumerate(mine.scripts):
        others = [s for s in mine.scripts if (s.theme, s.gender) == (script.theme, script.gender) and s != script]
        for variant, other in enumerate(others):
            for relation in ("effect", "cause"):
                rows.append(_row(mine, script, other, number * 2 + variant * 7 + (relation == "cause"), relation))
    return rows


def _row(mine: World, script: Script, other: Script, turn: int, relation: str) -> Row:
    names = mine.names[script.gender]
    name = names[turn % len(names)]
    setting = mine.settings[turn * 5 % len(mine.settings)][1]
    told, right, wrong = script.premise, script.ending, other.ending
    if relation == "cause":
        told, right, wrong = script.ending, script.premise, other.premise
    gold = turn // 2 % 2
    options = (right, wrong) if gold == 0 else (wrong, right)
    premise = mine.space.join((setting, told)).replace("{name}", name)
    return {
        "id": f"{script.script_id}.{other.script_id}.{relation}",
        "script": script.script_id,
        "premise": premise,
        "context": mine.space.join((premise, mine.frames[relation])),
        "options": tuple(option.replace("{name}", name) for option in options),
        "gold": gold,
    }


def _instance(row: Row, language: str, protocol: str) -> Instance:
    scored = (row["context"], row["options"])
    return Instance(row["id"], row["script"], row["premise"], *scored, row["gold"], *scored)


TASK = Task(
    name="miniature-copa",
    title="Miniature COPA",
    languages=LANGUAGES,
    pivot="en",
    n_options=2,
    protocols=("options",),
    instance=_instance,
    rows=_rows,
    dev=False,
    source="original texts of this project (MIT)",
)
