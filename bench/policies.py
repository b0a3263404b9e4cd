"""What review policies come to, what alpha's interval is worth, and whom the pause stops: `python -m bench.policies`.

Thirty synthetic reviewers of known skill judge 3,000 pairs written here with planted faults, by the rules as they are
(annotation/agreement.py, accuracy.py, reliability.py), in memory. It writes bench/policies.md and two plots beside it.
What people would do with real texts it cannot say: it tells what the rules make of people who are right so often.
"""

import argparse
import math
import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from annotation import accuracy, reliability
from annotation.agreement import Ballot, Result, Wording, verdict
from generation.charts import nice_ticks

HERE = Path(__file__).parent
REVIEWERS = 30
SKILLS = tuple(float(s) for s in np.linspace(0.60, 0.97, REVIEWERS))  # the share of pairs that each judges rightly
BEST = 3  # who counts alone, and who the linguists are
MEMORY = 0.7  # how often a self-recheck repeats the first answer, right or wrong
GOLD_SHARE = 0.05
SECONDS, SECONDS_TO_EDIT, SECONDS_TO_CHOOSE = 90, 45, 45  # the time model: a review, an edit, a tie-break

# What is wrong with a pair: how many of 1,000 have it, and how easily it is missed beside the average.
FAULTS = {
    "": (620, 0.8),
    "clumsy instruction": (110, 0.9),  # good once somebody has edited it
    "answers something else": (90, 0.5),
    "breaks off": (60, 1.2),
    "menu left in": (50, 1.2),
    "machine-translated": (40, 2.0),
    "a false figure": (30, 3.0),
}
GOOD = {"", "clumsy instruction"}
# Written for this bench.
SENTENCES = {
    "Describe how the fish market works.": "Boats land before six, and by nine the best perch is sold.",
    "Explain how to keep bread fresh.": "Wrap the loaf in linen and store it where no sun reaches it.",
    "Tell why the ferry stops in winter.": "Ice closes the sound in December, so the ferry rests until April.",
    "Say how the wool is dyed.": "Birch leaves boil for an hour, then the wool lies in the yellow bath overnight.",
    "Describe what is sung at the wedding.": "The bride's aunts sing of the road she walks, and the guests answer.",
    "Explain the proverb about the river.": "Whoever curses the river still drinks from it: we need what annoys us.",
}
EDITS = ("Please {}", "{} Use three sentences.", "{} Answer plainly.")


class Given(NamedTuple):
    """A pair to be judged, and what is known of it."""

    instruction: str
    response: str
    fault: str

    @property
    def is_good(self) -> bool:
        return self.fault in GOOD


def written(count: int, seed: int) -> list[Given]:
    """So many pairs, each with the fault that was planted into it or with none."""
    rng = random.Random(seed)
    pairs, faults = list(SENTENCES.items()), list(FAULTS)
    weights = [FAULTS[fault][0] for fault in faults]
    made = []
    for number in range(count):
        place = rng.randrange(len(pairs))
        instruction, response = pairs[place]
        fault = rng.choices(faults, weights)[0]
        if fault == "answers something else":
            response = pairs[(place + rng.randrange(1, len(pairs))) % len(pairs)][1]
        elif fault == "breaks off":
            response = response[: len(response) // 2]
        elif fault == "menu left in":
            response = f"Home | News | Contact {response}"
        elif fault == "machine-translated":
            response = " ".join(reversed(response.split(" ")))
        elif fault == "a false figure":
            response = f"{response} That was in the year 3017."
        elif fault == "clumsy instruction":
            instruction = instruction.lower().rstrip(".") + " please thank you"
        made.append(Given(instruction, f"{response} ({number})", fault))
    return made


MEAN_MISS = sum(share * miss for share, miss in FAULTS.values()) / sum(share for share, _ in FAULTS.values())


def right_chance(skill: float, fault: str) -> float:
    """How likely somebody judges such a pair rightly; over all pairs it is their skill."""
    return max(1 - (1 - skill) * FAULTS[fault][1] / MEAN_MISS, 0.02)


@dataclass(slots=True)
class Tally:
    """What a policy came to."""

    items: int = 0
    reviews: int = 0
    gold: int = 0
    accepted: int = 0
    accepted_good: int = 0
    decided: int = 0
    decided_right: int = 0
    disputed: int = 0
    seconds: int = 0
    paused: set[int] = field(default_factory=set)

    @property
    def accuracy(self) -> float:
        return self.decided_right / self.decided

    @property
    def clean(self) -> float:
        return self.accepted_good / self.accepted

    @property
    def per_pair(self) -> float:
        return (self.reviews + self.gold) / self.accepted


@dataclass(frozen=True, slots=True)
class Plan:
    """A policy as the simulation plays it."""

    name: str
    overlap: int
    quorum: int
    alone: int = 0  # so many of the best count alone
    only_best: bool = False
    recheck: bool = False
    gold: bool = False


PLANS = [
    Plan("1/1", 1, 1),
    Plan("2/1", 2, 1),
    Plan("2/2", 2, 2),
    Plan("3/2", 3, 2),
    Plan("3/3", 3, 3),
    Plan("2/2, three people count alone", 2, 2, alone=BEST),
    Plan("2/2, self-recheck", 2, 2, recheck=True),
    Plan("1/1, linguists only", 1, 1, only_best=True),
    Plan("2/2, hidden gold and pause", 2, 2, gold=True),
]


def play(plan: Plan, items: Sequence[Given], seed: int) -> Tally:
    """Everybody reviews what comes until each item is decided or with a linguist."""
    rng = random.Random(seed)
    people = list(range(REVIEWERS))[-BEST:] if plan.only_best else list(range(REVIEWERS))
    best = set(range(REVIEWERS)[-plan.alone :]) if plan.alone else set()
    tally = Tally(items=len(items))
    on_gold: dict[int, list[bool]] = defaultdict(list)
    for item in items:
        ballots: list[Ballot] = []
        here = rng.sample(people, min(len(people), plan.overlap + 1))
        reached = verdict(ballots, plan.overlap, plan.quorum)
        for turn in range(plan.overlap + 1):
            is_again = plan.recheck and turn == 1
            person = here[0] if is_again else here[min(turn, len(here) - 1)]
            if plan.gold and rng.random() < GOLD_SHARE / (1 - GOLD_SHARE):
                fault = rng.choices(list(FAULTS), [share for share, _ in FAULTS.values()])[0]
                on_gold[person].append(rng.random() < right_chance(SKILLS[person], fault))
                tally.gold += 1
                tally.seconds += SECONDS
                if accuracy.asks_for_pause(on_gold[person]) and len(people) > plan.overlap + 1:
                    tally.paused.add(person)
                    people = [each for each in people if each != person]
            if is_again and rng.random() < MEMORY:
                ballot = Ballot("again", ballots[0].accepts, ballots[0].wording, ballots[0].overall)
                tally.seconds += SECONDS
            else:
                ballot = answered(rng, item, person, str(turn), reached.wordings, counts_alone=person in best)
                tally.seconds += seconds_of(item, ballot, reached.result)
            ballots.append(ballot)
            tally.reviews += 1
            reached = verdict(ballots, plan.overlap, plan.quorum)
            if reached.result not in {Result.PENDING, Result.TIE_BREAK}:
                break
        count(tally, item, reached.result)
    return tally


def answered(
    rng: random.Random, item: Given, person: int, name: str, choices: Sequence[Wording], *, counts_alone: bool
) -> Ballot:
    is_right = rng.random() < right_chance(SKILLS[person], item.fault)
    if item.is_good != is_right:
        return Ballot(name, False, Wording(item.instruction))
    overall = rng.choices((3, 4, 5), (15, 55, 30) if item.is_good else (45, 45, 10))[0]
    wording = Wording(item.instruction)
    if choices:
        wording = rng.choice(list(choices))
    elif item.fault == "clumsy instruction":
        wording = Wording(rng.choices(EDITS, (7, 2, 1))[0].format(item.instruction))
    return Ballot(name, True, wording, overall, counts_alone)


def seconds_of(item: Given, ballot: Ballot, before: Result) -> int:
    if before == Result.TIE_BREAK:
        return SECONDS_TO_CHOOSE
    return SECONDS + SECONDS_TO_EDIT * (ballot.wording.instruction != item.instruction)


def count(tally: Tally, item: Given, result: Result) -> None:
    if result == Result.ACCEPTED:
        tally.accepted += 1
        tally.accepted_good += item.is_good
    elif result != Result.REJECTED:
        tally.disputed += 1
        return
    tally.decided += 1
    tally.decided_right += (result == Result.ACCEPTED) == item.is_good


# Alpha


def judged(items: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What two reviewers each say of so many pairs: counts per item of (reject, accept), and of overall 1 to 5."""
    rng = np.random.default_rng(seed)
    shares = np.array([share for share, _ in FAULTS.values()], float)
    fault = rng.choice(len(FAULTS), size=items, p=shares / shares.sum())
    chances = np.array([[right_chance(skill, fault) for fault in FAULTS] for skill in SKILLS])
    is_good = np.array([fault in GOOD for fault in FAULTS])[fault]
    first = rng.integers(REVIEWERS, size=items)
    second = (first + rng.integers(1, REVIEWERS, size=items)) % REVIEWERS
    decisions, ratings = np.zeros((items, 2), int), np.zeros((items, 5), int)
    for person in (first, second):
        accepts = is_good == (rng.random(items) < chances[person, fault])
        high = np.searchsorted(np.cumsum([0.15, 0.55]), rng.random(items))
        low = np.searchsorted(np.cumsum([0.45, 0.45]), rng.random(items))
        rating = np.where(accepts, np.where(is_good, 2 + high, 2 + low), rng.integers(0, 3, size=items))
        decisions[np.arange(items), accepts.astype(int)] += 1
        ratings[np.arange(items), rating] += 1
    return decisions, ratings


class Coverage(NamedTuple):
    true_decision: float
    true_overall: float
    decision: int  # of so many seeds, how often the interval holds the true value
    overall: int
    width: float


def coverage(*, seeds: int = 100, items: int = 3_000, true_items: int = 1_000_000) -> Coverage:
    """How often alpha's 95 % interval over some items holds what a very long simulation comes to."""
    decisions, ratings = judged(true_items, seed=10_000)
    true = value_of(decisions, "nominal"), value_of(ratings, "ordinal")
    hits, widths = [0, 0], []
    for seed in range(seeds):
        for place, (counts, metric) in enumerate(zip(judged(items, seed), ("nominal", "ordinal"), strict=True)):
            found = reliability.alpha(counts, metric, seed)  # type: ignore[arg-type]
            if found:
                hits[place] += found.low <= true[place] <= found.high
                widths.append(found.high - found.low)
    return Coverage(true[0], true[1], hits[0], hits[1], float(np.mean(widths)))


def value_of(counts: np.ndarray, metric: reliability.Metric) -> float:
    found = reliability.alpha(counts, metric)
    assert found is not None
    return found.value


# The pause


def paused_within(share_right: float, answers: int) -> list[float]:
    """The exact chance to have been paused after 1, 2, … gold answers, for somebody who is right so often."""
    at = {0.0: 1.0}
    paused, found = 0.0, []
    for _ in range(answers):
        following: dict[float, float] = defaultdict(float)
        for evidence, chance in at.items():
            for step, likely in ((accuracy.RIGHT, share_right), (accuracy.WRONG, 1 - share_right)):
                now = round(max(evidence + step, accuracy.FLOOR), 9)
                if now >= accuracy.LIMIT:
                    paused += chance * likely
                else:
                    following[now] += chance * likely
        at = following
        found.append(paused)
    return found


def paused_raters(share_right: float, *, raters: int, answers: int, seed: int) -> float:
    """The share of simulated raters whom the rule pauses within so many gold answers."""
    rng = np.random.default_rng(seed)
    said = rng.random((raters, answers)) < share_right
    return sum(accuracy.asks_for_pause(row) for row in said.tolist()) / raters


# The report

WIDTH, HEIGHT, LEFT, RIGHT_EDGE, TOP, BOTTOM = 720, 360, 60, 560, 20, 310
COLOURS = ("#1b4f72", "#b9770e", "#1e8449", "#7d3c98", "#943126", "#566573")


def plot(
    lines: dict[str, list[tuple[float, float]]],
    *,
    x_name: str,
    y_name: str,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    as_points: bool = False,
) -> str:
    """Lines, or points with their names, as an SVG that needs nothing else."""

    def at(x: float, y: float) -> tuple[float, float]:
        along = (x - x_range[0]) / (x_range[1] - x_range[0])
        up = (y - y_range[0]) / (y_range[1] - y_range[0])
        return LEFT + (RIGHT_EDGE - LEFT) * along, BOTTOM - (BOTTOM - TOP) * up

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><title>{y_name} by {x_name}</title><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    ]
    for x in nice_ticks(*x_range):
        if x_range[0] <= x <= x_range[1]:
            place, _ = at(x, 0)
            out.append(f'<text x="{place:.0f}" y="{BOTTOM + 18}" text-anchor="middle" fill="#555">{x:g}</text>')
    for y in nice_ticks(*y_range):
        if y_range[0] <= y <= y_range[1]:
            _, place = at(0, y)
            out.append(f'<line x1="{LEFT}" x2="{RIGHT_EDGE}" y1="{place:.0f}" y2="{place:.0f}" stroke="#ddd"/>')
            out.append(f'<text x="{LEFT - 8}" y="{place + 4:.0f}" text-anchor="end" fill="#555">{y:g}</text>')
    out.append(f'<text x="{RIGHT_EDGE}" y="{HEIGHT - 8}" text-anchor="end" fill="#111">{x_name}</text>')
    out.append(f'<text x="{LEFT}" y="{TOP - 6}" fill="#111">{y_name}</text>')
    for number, (name, points) in enumerate(lines.items()):
        colour, placed = COLOURS[number % len(COLOURS)], [at(*point) for point in points]
        if as_points:
            out.append(f'<circle cx="{placed[0][0]:.1f}" cy="{placed[0][1]:.1f}" r="5" fill="{colour}"/>')
        else:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
            out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = placed[-1]
        out.append(f'<text x="{x + 8:.0f}" y="{y + 4:.0f}" fill="{colour}">{name}</text>')
    return "\n".join([*out, "</svg>\n"])


def report(tallies: dict[str, Tally], found: Coverage, *, items: int, seeds: int, took: float) -> str:
    lines = [
        "# What review policies come to",
        "",
        "    python -m bench.policies",
        "",
        f"{REVIEWERS} synthetic reviewers, who judge {SKILLS[0]:.0%} to {SKILLS[-1]:.0%} of the pairs rightly, review "
        f"{items:,} pairs of known truth, {sum(s for f, (s, _) in FAULTS.items() if f in GOOD) / 10:.0f} % of "
        f"them good, "
        "by the rules as they run (annotation/agreement.py). Faults are planted: "
        + ", ".join(f"{fault} ({share / 10:g} %)" for fault, (share, _) in FAULTS.items() if fault)
        + f". {took:.0f} seconds on one core.",
        "",
        "| policy | verdicts that are right | accepted pairs that are good | accepted | disputed | reviews per "
        "accepted "
        "pair | minutes per accepted pair |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {t.accuracy:.1%} | {t.clean:.1%} | {t.accepted / t.items:.0%} | {t.disputed / t.items:.0%} "
        f"| {t.per_pair:.2f} | {t.seconds / 60 / t.accepted:.1f} |"
        for name, t in tallies.items()
    ]
    lines += [
        "",
        "![Reviews per accepted pair against accepted pairs that are good](policies_cost.svg)",
        "",
        f"Minutes by a time model and not by a clock: {SECONDS} seconds for a review, {SECONDS_TO_EDIT} more where the "
        f"instruction is edited, {SECONDS_TO_CHOOSE} for choosing in a tie-break. Disputed items cost a "
        f"linguist's time on "
        f"top. A self-recheck repeats the first answer in {MEMORY:.0%} of cases. Linguists, and those who count "
        f"alone, are "
        f"the {BEST} best.",
        "",
        *reading_of(tallies),
        "",
        "## What alpha's interval is worth",
        "",
        f"Two reviewers on each of a million pairs agree with alpha = {found.true_decision:.3f} (decision, "
        f"nominal) and "
        f"{found.true_overall:.3f} (overall, ordinal). Over {items:,} pairs the 95 % interval holds that value in "
        f"{found.decision} and {found.overall} of {seeds} seeds; it is {found.width:.3f} wide on average.",
        "",
        "## Whom the pause stops",
        "",
        "Exact chances to be paused, by how often somebody is right on gold (annotation/accuracy.py):",
        "",
        "| right | within 10 | within 20 | within 40 | within 100 | within 400 |",
        "|---|---|---|---|---|---|",
    ]
    for share in (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95):
        chances = paused_within(share, 400)
        lines.append(f"| {share:.0%} | " + " | ".join(f"{chances[n - 1]:.1%}" for n in (10, 20, 40, 100, 400)) + " |")
    with_gold = tallies[PLANS[-1].name]
    skills = sorted(SKILLS[person] for person in with_gold.paused)
    lines += [
        "",
        "![Chance to be paused by gold answers](policies_pause.svg)",
        "",
        f"In the play above with {GOLD_SHARE:.0%} of gold, {len(skills)} of {REVIEWERS} people were paused"
        + (f", who are right in {skills[0]:.0%} to {skills[-1]:.0%}" if skills else "")
        + f"; {with_gold.gold} of {with_gold.gold + with_gold.reviews:,} reviews were gold. A pause is a talk and no "
        "ban: somebody at 80 % is paused sooner or later, and a linguist decides what comes of it.",
        "",
    ]
    return "\n".join(lines)


def reading_of(tallies: dict[str, Tally]) -> list[str]:
    one, two, three = tallies["1/1"], tallies["2/2"], tallies["3/2"]
    return [
        f"To read it: a second opinion (2/2) takes the bad pairs among the accepted from {1 - one.clean:.1%} to "
        f"{1 - two.clean:.1%} for {two.per_pair / one.per_pair:.1f} times the reviews, and leaves "
        f"{two.disputed / two.items:.0%} "
        f"of the items to a linguist. A third (3/2) brings that down to {three.disputed / three.items:.0%}, and "
        f"more pairs "
        f"through, at {three.per_pair:.2f} reviews each. Where two answer independently, an error must happen twice; a "
        "self-recheck is no second person, which is what its row shows."
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=3_000, help="pairs of known truth")
    parser.add_argument("--seeds", type=int, default=100, help="draws for alpha's interval")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the report and its plots")
    args = parser.parse_args()
    started = time.monotonic()
    items = written(args.items, seed=1)
    tallies = {plan.name: play(plan, items, seed=2) for plan in PLANS}
    found = coverage(seeds=args.seeds, items=args.items)
    text = report(tallies, found, items=args.items, seeds=args.seeds, took=time.monotonic() - started)
    cost = {name: [(tally.per_pair, 100 * tally.clean)] for name, tally in tallies.items()}
    least = math.floor(min(point[0][1] for point in cost.values()) / 5) * 5
    most = math.ceil(max(point[0][0] for point in cost.values()))
    files: dict[str, Callable[[], str]] = {
        "policies.md": lambda: text,
        "policies_cost.svg": lambda: plot(
            cost, x_name="reviews per accepted pair", y_name="% of accepted pairs that are good", x_range=(1, most),
            y_range=(least, 100), as_points=True,
        ),
        "policies_pause.svg": lambda: plot(
            {
                f"right in {share:.0%}": [(n, 100 * chance) for n, chance in enumerate(paused_within(share, 100), 1)]
                for share in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
            },
            x_name="gold answers", y_name="% paused", x_range=(0, 100), y_range=(0, 100),
        ),
    }  # fmt: skip
    for name, content in files.items():
        (args.out / name).write_text(content(), encoding="utf-8")
    table = Table("policy", "verdicts right", "good among accepted", "reviews per pair", title=f"{args.items:,} pairs")
    for name, tally in tallies.items():
        table.add_row(name, f"{tally.accuracy:.1%}", f"{tally.clean:.1%}", f"{tally.per_pair:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
