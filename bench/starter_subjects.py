"""How often the starter model's draft names what the text is about: the twelve subjects, chance 8.3 %.

    python -m bench.starter_subjects                    # the 120 demo texts, which the model never saw
    python -m bench.starter_subjects --held-out MODEL   # a model of `manage.py make_starter --hold-out --out MODEL`

Draws each draft with the defaults of drafting and a fixed seed; greedy decoding is printed for information. Needs no
database. Exit code 1 where the drawn drafts miss the aim.
"""

import argparse
import json
import random
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.subjects import SUBJECTS, names_only
from generation import checks, prompts
from generation.backends import hf_local
from generation.backends.base import Sampling, Source
from generation.intervals import wilson

DEMO = Path(__file__).resolve().parent.parent / "generation" / "demo" / "texts"
SEED = 0
SHARE_MIN, LOWER_END_MIN = 0.30, 0.20


@dataclass(frozen=True, slots=True)
class Case:
    language: str
    subject: str
    body: str


def demo_cases() -> list[Case]:
    cases = []
    for path in sorted(DEMO.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            cases.append(Case(path.stem, row["subject"], row["text"]))
    return cases


def held_out_cases() -> list[Case]:
    """The sentences of each held-out topic of the seeds, in mixed order."""
    from generation.starter import composing, making

    cases = []
    for topic in composing.topics():
        if topic.number == making.HELD_OUT:
            sentences = random.Random(SEED).sample(topic.sentences, len(topic.sentences))
            cases.append(Case(topic.language, topic.subject, " ".join(sentences)))
    return cases


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", metavar="MODEL", help="measure this model on the held-out topics of the seeds")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print N drafts")
    options = parser.parse_args()
    console = Console(highlight=False)
    cases = held_out_cases() if options.held_out else demo_cases()
    backend = hf_local.load(Source(model=options.held_out or hf_local.STARTER))
    asked = [prompts.draft(case.body, prompts.PAPER) for case in cases]
    hits: dict[str, list[bool]] = {}
    for name, sampling in (("drawn", Sampling()), ("greedy", replace(Sampling(), temperature=0.0))):
        started = time.monotonic()
        replies = backend.generate(asked, sampling=sampling, seeds=[SEED + number for number in range(len(cases))])
        seconds = time.monotonic() - started
        drafts = [prompts.parse_reply(reply.text) for reply in replies]
        hits[name] = [names_only(draft.instruction, case.subject) for draft, case in zip(drafts, cases, strict=True)]
        kept = sum(
            not checks.check(draft, case.body, is_whole=reply.finish_reason != "length")
            for draft, case, reply in zip(drafts, cases, replies, strict=True)
        )
        low, high = wilson(sum(hits[name]), len(cases))
        console.print(
            f"{name}: {sum(hits[name])} of {len(cases)} drafts name their subject alone, "
            f"{sum(hits[name]) / len(cases):.1%} (95 % interval {low:.1%} to {high:.1%}); "
            f"{kept} kept by the reply checks; {len(cases) / seconds:.1f} drafts per second"
        )
        if name == "drawn":
            for number in random.Random(SEED).sample(range(len(cases)), min(options.show, len(cases))):
                console.print(f"  {cases[number].language} {cases[number].subject}: {drafts[number].instruction}")
    for title, key in (("language", "language"), ("subject", "subject")):
        table = Table(title, "texts", "drawn", "greedy")
        groups: dict[str, list[int]] = defaultdict(list)
        for number, case in enumerate(cases):
            groups[getattr(case, key)].append(number)
        for group in sorted(groups) if key == "language" else SUBJECTS:
            numbers = groups[group]
            table.add_row(group, str(len(numbers)), *(str(sum(hits[name][i] for i in numbers)) for name in hits))
        console.print(table)
    drawn = hits["drawn"]
    reached = sum(drawn) / len(drawn) >= SHARE_MIN and wilson(sum(drawn), len(drawn))[0] > LOWER_END_MIN
    console.print("The aim is reached." if reached else "The aim (30 %, lower end above 20 %) is missed.")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
