"""Imports texts with planted faults, and says of each gate what it caught and what it took away that was clean.

    python -m bench.planted_faults --texts FILE...      JSONL with the keys lang and text, as many files as you like
    python -m bench.planted_faults                      20,000 texts from the sentences of the demo corpus

Personal data is planted in bench/personal_data.py.

Every text is imported clean, and then once with each fault. Prints recall by fault, precision by gate, near-duplicates
by the Jaccard of their character 5-grams, and by language the clean texts turned away (--examples shows them).
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.filling import installation
from bench.planting import Clean, Planted, plant, recombine

if TYPE_CHECKING:
    from rich.console import Console

DEMO = Path(__file__).parent.parent / "generation" / "demo" / "texts"
OF_LENGTH_OR_DUPLICATES = {"too_short", "too_long", "near_duplicate", "duplicate"}


@dataclass
class Findings:
    """What an import said of each planted row: its reason, "duplicate", or nothing where it was stored."""

    said: list[tuple[Planted, str, str]] = field(default_factory=list)
    bodies: dict[str, str] = field(default_factory=dict)  # public id of a text → its body
    merged: list[tuple[str, str]] = field(default_factory=list)  # body turned away as a near-duplicate, body kept

    def clean(self) -> list[tuple[Planted, str, str]]:
        return [each for each in self.said if not each[0].fault]


def read_texts(paths: list[Path]) -> list[Clean]:
    texts = []
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            texts.append(Clean(row.get("lang") or path.stem, row["text"]))
    return texts


def run(rows: list[Planted]) -> Findings:
    """Import the rows, each language by itself, and read what was said of each."""
    import io

    from django.conf import settings

    from generation import admitting, ingest, jsonl
    from generation.models import Text
    from xinstruct_site.people.languages import FIRST_TEN, add_language

    findings = Findings()
    by_lang: defaultdict[str, list[Planted]] = defaultdict(list)
    for row in rows:
        by_lang[row.lang].append(row)
    for lang, planted in sorted(by_lang.items()):
        language, _ = add_language(FIRST_TEN[lang])
        content = b"".join(row.line(number) for number, row in enumerate(planted))
        source = jsonl.stream_source("planted", io.BytesIO(content))
        # Whole, so that a row has one outcome.
        done = ingest.import_texts([source], language=language, source="planted", is_whole=True)
        rejected: dict[int, dict[str, Any]] = {}
        if done.rejected_path:
            with open(Path(settings.DATA_DIR) / done.rejected_path, encoding="utf-8") as file:
                rejected = {row["line"] - 1: row for row in map(json.loads, file)}
        stored = dict(Text.objects.filter(imported_in=done).values_list("source_doc_id", "public_id"))
        bodies = dict(Text.objects.filter(imported_in=done).values_list("public_id", "body"))
        for number, row in enumerate(planted):
            no = rejected.get(number)
            said = no["reason"] if no else ("" if str(number) in stored else "duplicate")
            findings.said.append((row, said, no["detail"] if no else ""))
            if said == "near_duplicate" and no:
                findings.merged.append((admitting.normalise(row.text), bodies[no["detail"].split()[1].rstrip(",")]))
    return findings


def jaccard(one: str, other: str) -> float:
    """Of the sets of character 5-grams; in plain Python, so as not to measure our own code by itself."""
    a, b = ({text[n : n + 5] for n in range(len(text) - 4)} for text in (one, other))
    return len(a & b) / len(a | b)


def is_caught(planted: Planted, said: str) -> bool:
    """A repaired text is the clean one, which was there before."""
    return said == "duplicate" if "repaired" in planted.reasons else said in planted.reasons


def recall_by_fault(findings: Findings) -> dict[str, tuple[int, int, int]]:
    """Fault → rows, turned away by the right gate, turned away at all. Near-duplicates from 0.8 on."""
    rows: dict[str, list[int]] = {}
    for planted, said, _ in findings.said:
        if not planted.reasons or (planted.fault == "near-duplicate" and jaccard(planted.text, planted.base) < 0.8):
            continue
        counts = rows.setdefault(planted.fault, [0, 0, 0])
        counts[0] += 1
        counts[1] += is_caught(planted, said)
        counts[2] += bool(said)
    return {fault: (n, own, any_) for fault, (n, own, any_) in rows.items()}


def precision_by_gate(findings: Findings) -> dict[str, tuple[int, int]]:
    """Reason → rows turned away, of which rightly. A near-duplicate is right from a Jaccard of 0.7 on, and a plant
    that grew too long or too short by what was planted is rightly so."""
    away: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for planted, said, _ in findings.said:
        if said and said not in {"duplicate", "near_duplicate"}:
            away[said] += 1
            right[said] += said in planted.reasons or (bool(planted.fault) and said in {"too_long", "too_short"})
    for one, kept in findings.merged:
        away["near_duplicate"] += 1
        right["near_duplicate"] += jaccard(one, kept) >= 0.7
    return {reason: (count, right[reason]) for reason, count in away.most_common()}


def merged_below(findings: Findings, bound: float) -> tuple[int, int]:
    """Rows that were merged below a Jaccard, and rows that were planted below it and could have been."""
    wrong = sum(jaccard(one, kept) < bound for one, kept in findings.merged)
    planted = [row for row, _, _ in findings.said if row.fault in {"near-duplicate", "half alike"}]
    return wrong, sum(jaccard(row.text, row.base) < bound for row in planted)


def wrongly_rejected(findings: Findings) -> dict[str, tuple[int, int]]:
    """Language → clean texts, and those turned away; length and duplicates aside."""
    counts: dict[str, list[int]] = {}
    for planted, said, _ in findings.clean():
        count = counts.setdefault(planted.lang, [0, 0])
        count[0] += 1
        count[1] += bool(said) and said not in OF_LENGTH_OR_DUPLICATES
    return {lang: (n, wrong) for lang, (n, wrong) in counts.items()}


def show(findings: Findings, console: "Console", *, examples: int) -> None:
    from rich.table import Table

    table = Table(
        "planted fault", "rows", "by its gate", "by any", title="Recall (near-duplicates: from a Jaccard of 0.8)"
    )
    for fault, (rows, own, any_) in recall_by_fault(findings).items():
        table.add_row(fault, f"{rows:,}", f"{own / rows:.3f}", f"{any_ / rows:.3f}")
    console.print(table)
    table = Table("gate", "turned away", "rightly", title="Precision")
    for reason, (away, right) in precision_by_gate(findings).items():
        table.add_row(reason, f"{away:,}", f"{right / away:.3f}")
    console.print(table)
    wrong, below = merged_below(findings, 0.5)
    console.print(f"Pairs below a Jaccard of 0.5 that were merged: {wrong} of {below:,}")
    table = Table("language", "clean texts", "turned away", "share", title="Clean texts, length and duplicates aside")
    for lang, (rows, away) in wrongly_rejected(findings).items():
        table.add_row(lang, f"{rows:,}", f"{away:,}", f"{away / rows:.1%}")
    console.print(table)
    lost = [each for each in findings.clean() if each[1] and each[1] not in OF_LENGTH_OR_DUPLICATES]
    for planted, said, detail in lost[:examples]:
        console.print(f"{planted.lang} {said} ({detail}): {planted.text[:200]!r}", markup=False, soft_wrap=True)


def planted_rows(texts: list[Clean], *, seed: int, one_each: bool) -> list[Planted]:
    """The clean texts, then the same with faults: each with every kind, or each with one."""
    clean = [Planted(text.lang, "", text.body) for text in texts]
    return clean + list(plant(texts, seed=seed, one_each=one_each))


def main(args: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", nargs="+", type=Path, metavar="FILE", help="clean texts: JSONL with lang and text")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=0, help="how many wrongly rejected texts to show")
    options = parser.parse_args(args)
    with installation():
        from rich.console import Console

        if options.texts:
            rows = planted_rows(read_texts(options.texts), seed=options.seed, one_each=False)
        else:
            texts = recombine(read_texts(sorted(DEMO.glob("*.jsonl"))), 10_000, options.seed)
            rows = planted_rows(texts, seed=options.seed, one_each=True)
        show(run(rows), Console(), examples=options.examples)
    return 0


if __name__ == "__main__":
    sys.exit(main())
