"""Does reviewing the doubted first give a better threshold for each label than a random order? A simulation.

    python -m bench.doubt [--rounds N] [--texts N]

Texts have a known chance to be good, evaluators of several kinds say what they make of it, and people (one in twenty
slips) review a round in the order of `doubt.views` or by chance. After some labels the threshold is chosen as a
selection would (`reliability.threshold_for`), and judged on 20,000 texts nobody reviewed: how far the precision that it
reaches is from the one that was wanted, and how many of the good it keeps. Machine errors found says what the order is
for: reviews in which the machine and the person differ.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.filling import installation

if TYPE_CHECKING:
    from generation.models import ModelVersion, Round

WANTED = 0.8
SLIP = 0.05
UNSEEN = 20_000
LABELS = (40, 80, 160, 320)

Vector = Any  # (n,) float64


def logit(chance: Vector) -> Vector:
    return np.log(chance / (1 - chance))


def chance_of(logits: Vector) -> Vector:
    return 1 / (1 + np.exp(-logits))


@dataclass(frozen=True)
class Kind:
    """An evaluator: how it is asked, and what it says of texts of that true chance; a row per text, a column per
    sample."""

    prompt_version: str
    says: Callable[[Vector, np.random.Generator], Any]


def _level(chance: Vector, rng: np.random.Generator) -> Any:
    """Three answers to a rubric of five levels."""
    return np.clip(np.round(1 + 4 * chance[:, None] + rng.normal(0, 0.8, (len(chance), 3))), 1, 5)


def kinds() -> dict[str, Kind]:
    from generation import rubric

    def leaning(shift: float, noise: float) -> Callable[[Vector, np.random.Generator], Any]:
        return lambda chance, rng: chance_of(logit(chance) + shift + rng.normal(0, noise, len(chance)))[:, None]

    return {
        "calibrated": Kind(rubric.LEVELS, leaning(0, 0.7)),
        "too kind": Kind(rubric.LEVELS, leaning(1.5, 0.7)),
        "too strict": Kind(rubric.LEVELS, leaning(-1.5, 0.7)),
        "weak": Kind(rubric.LEVELS, leaning(0, 2.5)),
        "rubric": Kind(rubric.RUBRIC, _level),
    }


def closed_round(number: int, evaluator: "ModelVersion", said: Any) -> "Round":
    """A round of as many texts, in an order by chance, with what the evaluator said."""
    from generation.models import Candidate, CandidateState, Import, Round, Run, Score, Selection, Text
    from xinstruct_site.people.languages import FIRST_TEN, add_language

    language, _ = add_language(FIRST_TEN["fi"])
    batch, _ = Import.objects.get_or_create(language=language, source="bench")
    run, _ = Run.objects.get_or_create(
        key="0" * 64, defaults={"language": language, "model_version": evaluator, "prompt_version": "base-1"}
    )
    round_ = Round.objects.create(language=language, number=number, evaluator=evaluator)
    texts = Text.objects.bulk_create(
        Text(language=language, imported_in=batch, body="x", original="x", sha256=f"{number}-{place}", chars=1,
             source_dataset="bench", licence_id="CC0-1.0")
        for place in range(len(said))
    )  # fmt: skip
    candidates = Candidate.objects.bulk_create(
        Candidate(text=text, run=run, instruction="x", raw_reply="x", state=CandidateState.KEPT) for text in texts
    )
    Score.objects.bulk_create(
        Score(candidate=candidate, evaluator=evaluator, sample_number=sample, raw=raw)
        for candidate, row in zip(candidates, said.tolist(), strict=True)
        for sample, raw in enumerate(row)
    )
    Selection.objects.bulk_create(
        Selection(round=round_, text=text, rank=rank, cluster=0, candidate_ids=[candidate.pk])
        for rank, (text, candidate) in enumerate(zip(texts, candidates, strict=True), 1)
    )
    return round_


def orders(round_: "Round", rng: np.random.Generator) -> dict[str, Any]:
    """Rows of the round in the order in which they are handed out, and by chance."""
    from generation import doubt

    selections = list(round_.selections.order_by("rank"))
    views = doubt.views(round_, selections)
    by_doubt = sorted(range(len(selections)), key=lambda row: views[selections[row].pk].place)
    return {"doubt": np.array(by_doubt), "chance": rng.permutation(len(selections))}


def simulate(rounds: int, texts: int) -> dict[tuple[str, str, int], list[tuple[float, float, int]]]:
    """Evaluator, order, labels → for each round: precision reached (nan: no threshold), recall, machine errors found.

    The evaluator "all" holds the rounds of all.
    """
    from generation import comparing, reliability
    from generation.models import ModelVersion, Task

    found = defaultdict(list)
    number = 0
    for name, kind in kinds().items():
        evaluator = ModelVersion.objects.create(
            task=Task.SCORE, name=name, backend="hf", location=name, revision="0", prompt_version=kind.prompt_version
        )
        usual = comparing.usual_threshold(evaluator)
        assert usual is not None
        for seed in range(rounds):
            number += 1
            rng = np.random.default_rng([seed, number])
            chance, unseen = rng.beta(1.2, 1.2, texts).clip(0.01, 0.99), rng.beta(1.2, 1.2, UNSEEN).clip(0.01, 0.99)
            said = kind.says(chance, rng)
            raw, raw_unseen = said.mean(axis=1), kind.says(unseen, rng).mean(axis=1)
            labels = (rng.random(texts) < chance) ^ (rng.random(texts) < SLIP)
            differs = (raw >= usual) != labels
            for order, rows in orders(closed_round(number, evaluator, said), rng).items():
                for count in (*(one for one in LABELS if one < texts), texts):
                    seen = rows[:count]
                    points = list(zip(raw[seen].tolist(), labels[seen].tolist(), strict=True))
                    threshold = reliability.threshold_for(points, WANTED)
                    kept = raw_unseen >= (np.inf if threshold is None else threshold)
                    reached = float(unseen[kept].mean()) if kept.any() else np.nan
                    recall = float(unseen[kept].sum() / unseen.sum())
                    for whose in (name, "all"):
                        found[whose, order, count].append((reached, recall, int(differs[seen].sum())))
    return found


def main(args: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="of each evaluator")
    parser.add_argument("--texts", type=int, default=400, help="in a round")
    options = parser.parse_args(args)
    with installation():
        from rich.console import Console
        from rich.table import Table

        found = simulate(options.rounds, options.texts)
        table = Table(
            "evaluator", "labels", "off by", "by chance", "no threshold", "by chance", "good kept", "by chance",
            "machine errors", "by chance", title=f"Thresholds for a precision of {WANTED:.0%}, doubted first",
        )  # fmt: skip
        for name, order, count in found:
            if order == "doubt":
                cells = [_summary(found[name, each, count]) for each in ("doubt", "chance")]
                table.add_row(name, str(count), *(cell for pair in zip(*cells, strict=True) for cell in pair))
        Console(width=130).print(table)
    return 0


def _summary(rows: list[tuple[float, float, int]]) -> tuple[str, str, str, str]:
    """How far from what was wanted on average, how often there was no threshold, the good kept, errors found."""
    reached, recall, errors = (np.array(column) for column in zip(*rows, strict=True))
    there = ~np.isnan(reached)
    off = f"{np.abs(reached[there] - WANTED).mean():.3f}" if there.any() else "–"
    return off, f"{(~there).mean():.0%}", f"{recall.mean():.2f}", f"{errors.mean():.1f}"


if __name__ == "__main__":
    sys.exit(main())
