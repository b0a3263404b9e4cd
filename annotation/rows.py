"""What a release says of one pair: the canonical row, with where each part of it comes from.

A row follows the pair from the text's source over the run that drafted to what every person said. It holds nothing
personal: no names, no ids of people, reviews in an order that tells nothing of who wrote them, personal data masked.
"""

import contextlib
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import Any

from django.db.models import QuerySet

from annotation.agreement import trimmed
from annotation.files import Row, canonical
from annotation.models import Adjudication, Audit, Pair, Review
from annotation.preferences import rejected_for
from annotation.splitting import Splitter
from generation import personal_data
from generation.licences import Source
from generation.models import Candidate, Import, Run, Text
from xinstruct_site.people.models import Language

BATCH = 500
ROW_FORMAT = 3  # grows when a row's fields change
OF_REVIEW = (
    "item", "slot", "reviewer", "review_pass", "decision", "instruction", "input", "spans", "response_edit",
    "rating_alignment", "rating_instruction", "rating_text", "overall", "flags", "guidelines_version", "scores_visible",
    "counts_alone", "agreement__licence_id", "agreement__version", "candidate__instruction", "candidate__input",
)  # fmt: skip
RATINGS = ("alignment", "instruction", "text", "overall")
# Long, and in no row.
UNUSED = ("item__text__original", "item__text__extra", "candidate__embedding", "candidate__raw_reply")


class _Known:
    """What many pairs have in common, fetched once: languages, imports, runs with their models."""

    def __init__(self) -> None:
        self.languages = Language.objects.in_bulk()
        self.imports: dict[int, Import] = {}
        self.runs: dict[int, Run] = {}

    def attach(self, pair: Pair) -> None:
        text, candidate = pair.item.text, pair.candidate
        pair.item.language = text.language = self.languages[pair.item.language_id]
        if text.imported_in_id not in self.imports:
            self.imports[text.imported_in_id] = Import.objects.get(pk=text.imported_in_id)
        text.imported_in = self.imports[text.imported_in_id]
        if candidate:
            if candidate.run_id not in self.runs:
                self.runs[candidate.run_id] = Run.objects.select_related("model_version").get(pk=candidate.run_id)
            candidate.run = self.runs[candidate.run_id]


def rows(pairs: QuerySet[Pair], splitter: Splitter, *, with_rejected: bool = False) -> Generator[Row, None, None]:
    """The canonical rows, a batch in memory at a time; of preferences, those of pairs that some draft lost to."""
    pairs = pairs.select_related("item__text", "candidate").defer(*UNUSED)
    known = _Known()
    with streamed(pairs) as found:
        while batch := list(islice(found, BATCH)):
            for pair in batch:
                known.attach(pair)
            said = _said_of(batch)
            splits = splitter.splits([pair.item.text for pair in batch])
            rejected = rejected_for(batch) if with_rejected else {}
            for pair, (split, group) in zip(batch, splits, strict=True):
                if with_rejected and pair.pk not in rejected:
                    continue
                row = row_of(pair, *said[pair.item_id]) | {"split": str(split), "split_group": group}
                if with_rejected:
                    lost = rejected[pair.pk]
                    words = {"instruction": lost["instruction"], "input": lost["input"]}
                    lost |= personal_data.masked_in_all(words, pair.item.text, pair.item.language.code)
                    row |= {"kind": "preference", "rejected": lost}
                yield row


@contextlib.contextmanager
def streamed(rows: QuerySet[Any]) -> Iterator[Iterator[Any]]:
    """Rows from a cursor on the server. It is closed when the block ends, however it ends: one left to the garbage
    collector is closed after the rollback, and its error spoils whatever transaction is open then."""
    found = rows.iterator(chunk_size=BATCH)
    with contextlib.closing(found):  # type: ignore[type-var]
        yield found


def row_of(pair: Pair, reviews: list[Review], decisions: list[Audit | Adjudication]) -> Row:
    """The row of a pair, as it is hashed and kept, without its split.

    The pair: `instruction`, `input`, `response`, `language`, `language_name`, `title`. Whether personal data was
    masked in any of it: `masked`. Where it comes from, in short: `source`, `url`, `text_sha256`, `licence` (of the
    text), `licences` (of all), `origin`, `model`, `prompt_version`, `run`, `edited`; what the people who agreed gave:
    `ratings`, each person's first, under `policy_version`. Known by: `pair` and `item`. The whole of it: `lineage`,
    see there.
    """
    text, language, candidate = pair.item.text, pair.item.language, pair.candidate
    run = candidate.run if candidate else None
    model = run.model_version if run else None
    decided = [review for review in reviews if str(review.pk) in pair.decided_by]
    response = pair.response()
    words = {pair.instruction, pair.input, response, text.title}
    words.update(said for review in reviews for said in (review.instruction, review.input))
    if candidate:
        words |= {candidate.instruction, candidate.input}
    clean = personal_data.masked_in_all({each: each for each in words}, text, language.code)
    return {
        "instruction": clean[pair.instruction],
        "input": clean[pair.input],
        "response": clean[response],
        "language": language.code,
        "language_name": language.name,
        "licence": text.licence_id,
        "licences": {
            "text": text.licence_id,
            "model": model.licence_id if model else None,
            "contributors": sorted({review.agreement.licence_id for review in decided or reviews}),
        },
        "source": text.source_dataset,
        "url": text.url,
        "title": clean[text.title],
        "masked": any(each != masked for each, masked in clean.items()),
        "text_sha256": text.sha256,
        "pair": pair.public_id,
        "item": pair.item.public_id,
        "origin": pair.origin,
        "policy_version": pair.policy_version,
        "ratings": sorted((_ratings(review) for review in one_each(decided)), key=lambda given: list(given.values())),
        "model": {"name": model.name, "revision": model.revision, "licence": model.licence_id} if model else None,
        "prompt_version": run.prompt_version if run else "",
        "run": run.public_id if run else "",
        # Whether a person's hand is in the instruction: they changed the draft or wrote their own.
        "edited": not candidate or _words(candidate) != _words(pair),
        "lineage": {
            "text": _of_text(text)
            | {
                "variety": pair.variety or text.variety,
                "orthography": pair.orthography or text.orthography,
                "kept": _spans(pair),
            },
            "draft": _of_draft(candidate, run, clean) if candidate and run else None,
            "reviews": sorted((_of_review(each, clean) for each in reviews), key=canonical),
            "audit": [_of_decision(each) for each in decisions],
        },
    }


def one_each(reviews: Iterable[Review]) -> list[Review]:
    """Without self-rechecks where the person's first review is there: two reviews of one person are no two people."""
    later_first = sorted(reviews, key=lambda review: review.review_pass, reverse=True)
    return list({review.reviewer_id: review for review in later_first}.values())


def sources_of(row: Row) -> list[Source]:
    """What the row was made from, each with its licence."""
    named = row["licences"]
    found = [Source("text", named["text"]), *(Source("contributor", each) for each in named["contributors"])]
    return found if named["model"] is None else [*found, Source("model", named["model"])]


def _said_of(batch: list[Pair]) -> dict[int, tuple[list[Review], list[Audit | Adjudication]]]:
    """What stands of reviewers' and linguists' decisions on the pairs' items, by item."""
    found: dict[int, tuple[list[Review], list[Audit | Adjudication]]] = defaultdict(lambda: ([], []))
    items = [pair.item_id for pair in batch]
    reviews = Review.objects.standing().filter(item__in=items).select_related("agreement", "candidate")
    for review in reviews.only(*OF_REVIEW):
        found[review.item_id][0].append(review)
    for audit in Audit.objects.standing().filter(item__in=items).order_by("at", "pk"):
        found[audit.item_id][1].append(audit)
    for adjudication in Adjudication.objects.filter(item__in=items, withdrawn_at=None):
        found[adjudication.item_id][1].append(adjudication)
    return found


def _of_text(text: Text) -> Row:
    """Where the text comes from: the source's own names for it, which part of it, and how it came in."""
    earlier = text.relabelled_from
    is_part = text.segment_start is not None
    return {
        "sha256": text.sha256,
        "source": text.source_dataset,
        "source_release": text.source_release,
        "document": text.source_doc_id,
        "segment": [text.segment_start, text.segment_end] if is_part else None,
        "url": text.url,
        "crawled": text.crawl_date,
        "licence": text.licence_id,
        "licence_url": text.licence_url,
        "robots": text.robots_status,
        "import": text.imported_in.public_id,
        "imported": text.imported_at.date().isoformat(),
        "normalisation": text.normalisation,
        "was_taken_for": earlier.language.code if earlier else None,
    }


def _of_draft(candidate: Candidate, run: Run, clean: dict[str, str]) -> Row:
    """Who drafted what people began with, and how: with this the model would draft it again."""
    return {
        "instruction": clean[candidate.instruction],
        "input": clean[candidate.input],
        "run": run.public_id,
        "sample": candidate.sample_number,
        "style": candidate.style,
        "repairs": candidate.repairs,
        "backend": run.model_version.backend,
        "model": run.model_version.name,
        "revision": run.model_version.revision,
        "licence": run.model_version.licence_id,
        "prompt_version": run.prompt_version,
        "prompt_sha256": run.prompt_sha256,
        "sampling": run.sampling,
        "seed": run.seed,
    }


def _of_review(review: Review, clean: dict[str, str]) -> Row:
    """What one person said, whoever it was."""
    started = review.candidate
    return {
        "decision": review.decision,
        "counted": review.slot_id is not None,
        "counted_alone": review.counts_alone,
        "pass": review.review_pass,
        "instruction": clean[review.instruction],
        "input": clean[review.input],
        "edited": not started or _words(started) != _words(review),
        "kept": _spans(review),
        "response_edited": review.response_edit is not None,
        "ratings": _ratings(review),
        "flags": sorted(review.flags),
        "guidelines": review.guidelines_version,
        "agreement": review.agreement.version,
        "saw_scores": review.scores_visible,
    }


def _of_decision(made: Audit | Adjudication) -> Row:
    """What a linguist decided: on the cultural content, or where reviewers did not agree. Their notes stay here."""
    if isinstance(made, Adjudication):
        return {"kind": "adjudication", "decision": made.decision, "overall": made.overall}
    marks = [{key: mark.get(key) for key in ("part", "start", "end", "tag", "severity")} for mark in made.marks]
    return {"kind": "audit", "verdict": made.verdict, "marks": marks}


def _ratings(review: Review) -> dict[str, int | None]:
    given = (review.rating_alignment, review.rating_instruction, review.rating_text, review.overall)
    return dict(zip(RATINGS, given, strict=True))


def _spans(of: Pair | Review) -> list[list[int]]:
    return [[span["start"], span["end"]] for span in of.spans]


def _words(said: Candidate | Pair | Review) -> tuple[str, str]:
    return trimmed(said.instruction), trimmed(said.input)
