"""The recipe of the miniature model: its phases, its size and its seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from crossalign.miniature.corpus import BRIDGE, CLAUSE, FACT, MIXTURE, TRANSLATION, Lesson, Mixture
from crossalign.miniature.world import LANGUAGES, PIVOT


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of the training.

    Attributes:
        lines: of training text.
        cue_weight: how much a token of what is told counts in the loss, beside 1 for one of the answer.
        batch_tokens: most tokens of a step, padding counted.
        learning_rate: the highest one of AdamW.
        matrix_rate: the highest one of Muon, which then trains the layers' matrices; 0 for AdamW alone.
        mixture: what the text is made of.
        lesson: what it begins with.
    """

    lines: int
    cue_weight: float
    batch_tokens: int
    learning_rate: float
    matrix_rate: float = 0.0
    mixture: Mixture = MIXTURE
    lesson: Lesson | None = None


STORIES = Lesson({"story": 2, "close": 1}, 120_000)
"""That a closing depends on event and time together is one bit in a line. From the mixture alone it is never learned; from
stories of one language it is, within a million tokens, and the others follow."""

PEOPLE = Lesson({"person": 3, "story": 1, "close": 1}, 60_000)
"""That a name says which of two events is asked about is another such bit. Both in one lesson are learned much later than
one after the other."""

RECALL = Phase(120_000, cue_weight=0.0, batch_tokens=2048, learning_rate=2e-3, matrix_rate=0.03, lesson=STORIES)
"""What a cue tells is drawn at random: without it in the loss the model learns to recall and to translate much sooner."""

LATE = {"story": 4, "effect": 2, "cause": 4, "result": 1, "close": 4, "person": 3}
"""Shapes of the later phases: more of those that are learned late."""

WHOLE = Phase(
    150_000,
    cue_weight=0.25,
    batch_tokens=1024,
    learning_rate=1e-3,
    mixture=replace(MIXTURE, shapes=LATE),
    lesson=PEOPLE,
)
"""Whole lines give the states of a language what the next words of any text need: translations share them afterwards."""

REVISED = {"story": 3, "effect": 1, "cause": 3, "result": 1, "close": 5, "person": 5}
"""Shapes of the last phase: most of those that are learned last."""

REVISION = replace(
    WHOLE,
    lines=40_000,
    learning_rate=7e-4,
    mixture=Mixture({FACT: 0.5, CLAUSE: 0.02, TRANSLATION: 0.22, BRIDGE: 0.26}, REVISED, alpha=0.4, late_bridges=0.5),
    lesson=None,
)
"""More facts, and shares less steep: how a passage ends and which of two people did something are known last, and in the
small languages not before they are told more often. In place of a part of `WHOLE` it costs transfer and translation.

Bridges that change language late tie the states at the end of an answer to those of the pivot: what follows is the same."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything the weights depend on, besides the world and the machine.

    Attributes:
        phases: one after another; in each the learning rate rises at first and then falls along a cosine to a tenth.
        pool: lines among which those of like length are put into one batch.
        bucket: tokens within which lengths count as alike; batches of exactly one length would each know few events.
        warm_up: steps over which the learning rate rises.
    """

    seed: int = 1
    phases: tuple[Phase, ...] = (RECALL, WHOLE, REVISION)
    pool: int = 2048
    bucket: int = 8
    warm_up: int = 100
    weight_decay: float = 0.1
    vocabulary: int = 6144
    hidden: int = 192
    layers: int = 6
    heads: int = 4
    intermediate: int = 512
    positions: int = 512

    def stream_seed(self, phase: int) -> int:
        """Seed of a phase's stream of lines: another one for each seed; phases that share one differ in their mixture."""
        return 2 * self.seed + phase

    def expected_shares(self) -> dict[str, float]:
        """Each language's expected part of all lines, to four decimals."""
        lines_of: dict[str, float] = {code: 0.0 for code in LANGUAGES}
        for phase in self.phases:
            # Of a lesson, whose part in the pivot falls with the square, a quarter comes on top of the pivot's share.
            extra = phase.lesson.lines / 4 if phase.lesson else 0.0
            for code, share in phase.mixture.shares().items():
                lines_of[code] += (phase.lines - extra) * share + extra * (code == PIVOT)
        total = sum(phase.lines for phase in self.phases)
        return {code: round(expected / total, 4) for code, expected in lines_of.items()}

    def until(self, phase: int) -> Recipe:
        """The recipe of what there is after a phase, the first of which is 0."""
        return replace(self, phases=self.phases[: phase + 1])
