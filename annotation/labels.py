"""Freezes what people said of items as a release of ratings: to train evaluators on, or as gold to measure them.

Gold is drawn from decided items by a hash, so nobody picks it, and its items leave the normal ones for good: no release
of pairs takes them in and nothing is trained on them. Rows hold nothing of who rated.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import crediting, tallies
from annotation.files import canonical
from annotation.freezing import NAME, NameTaken, NothingToRelease, ReleaseError
from annotation.models import Decision, Item, ItemKind, ItemState, Pair, Review
from generation import blocklist, personal_data
from generation.models import GOLD, Candidate, Release, ReleaseRow, ReleaseState
from xinstruct_site.people.models import Event, EventKind, Language, User

DECIDED = (ItemState.ACCEPTED, ItemState.REJECTED)
WORST = 1  # what a reject says that gives no overall
BATCH = 500


def build(name: str, languages: Iterable[Language], *, gold: int = 0, created_by: User | None = None) -> Release:
    """A release of ratings of the languages' decided items; with `gold`, of that many per language, which become gold.

    Called again with the same name it is the release that stands.

    Raises:
        NameTaken: another release has the name.
        ReleaseError: nothing to freeze, or a name that cannot be a file's.
    """
    languages = sorted(languages, key=lambda language: language.code)
    if not NAME.fullmatch(name):
        raise ReleaseError(_("“%(name)s” cannot be a release's name.") % {"name": name})
    query: dict[str, Any] = {
        "languages": [language.code for language in languages],
        "kind": "ratings",
        "items": GOLD if gold else "decided",
    }
    if gold:
        query["per_language"] = gold
    with transaction.atomic():
        blocklist.no_take_down_meanwhile()
        # One builder at a time: two would draw the same items.
        list(Language.objects.select_for_update(no_key=True).filter(pk__in=[each.pk for each in languages]))
        release, is_new = Release.objects.get_or_create(name=name, defaults={"query": query, "created_by": created_by})
        if not is_new:
            if release.state == ReleaseState.READY and release.query == query:
                return release
            raise NameTaken(_("There is a release “%(name)s” already. Choose another name.") % {"name": name})
        release.languages.set(languages)
        counts: dict[str, int] = {}
        position, digest = 0, hashlib.sha256()
        for language in languages:
            keys = _drawn(name, language, gold) if gold else _decided(language)
            for start in range(0, len(keys), BATCH):
                rows = _rows([key.pk for key in keys[start : start + BATCH]])
                if gold:
                    gold_items = Item.objects.filter(public_id__in=[row["item"] for row in rows])
                    for pair in Pair.objects.releasable().filter(item__in=gold_items):
                        tallies.accepted(language.pk, pair.created_at, -1)
                    gold_items.update(kind=ItemKind.GOLD)
                _write(release, rows, position, digest)
                position += len(rows)
                counts[language.code] = counts.get(language.code, 0) + len(rows)
        if not position:
            raise NothingToRelease(_("No items are decided yet, so there is nothing that people rated."))
        release.state, release.ready_at = ReleaseState.READY, timezone.now()
        release.sha256, release.counts = digest.hexdigest(), counts
        release.contributors = crediting.contributors(release)
        release.save(update_fields=["state", "ready_at", "sha256", "counts", "contributors"])
        Event.record(EventKind.RELEASE_BUILT, release, actor=created_by, rows=position)
    return release


class _Key(NamedTuple):
    pk: int
    public_id: str
    text_sha256: str


def _decided(language: Language) -> list[_Key]:
    """Items that people rated and that are no gold, in an order that is the same in every database."""
    decided = Item.objects.filter(language=language, state__in=DECIDED, kind=ItemKind.NORMAL, text__withdrawn_at=None)
    rated = decided.filter(Exists(_telling().filter(item=OuterRef("pk"))))
    return sorted(map(_Key._make, rated.values_list("pk", "public_id", "text__sha256")), key=lambda key: key.public_id)


def _drawn(name: str, language: Language, number: int) -> list[_Key]:
    """Items of which nothing was released yet: what a model may have learned from measures nothing."""
    keys = _decided(language)
    released = ReleaseRow.objects.filter(language_code=language.code).values_list("text_sha256", flat=True)
    known = set(released.distinct().iterator())
    fresh = [key for key in keys if key.text_sha256 not in known]
    fresh.sort(key=lambda key: hashlib.sha256(f"{name}:{key.public_id}".encode()).digest())
    return fresh[:number]


def _telling() -> QuerySet[Review]:
    """Reviews that say what a person thinks: whoever saw what the machine thinks does not."""
    return Review.objects.standing().filter(review_pass=1, scores_visible=False)


def _rows(keys: list[int]) -> list[dict[str, Any]]:
    items = list(Item.objects.filter(pk__in=keys).select_related("text", "language").defer("text__original"))
    items.sort(key=lambda item: keys.index(item.pk))
    reviews: dict[int, list[Review]] = {item.pk: [] for item in items}
    for review in _telling().filter(item__in=items).order_by("pk"):
        reviews[review.item_id].append(review)
    pairs = {pair.item_id: pair for pair in Pair.objects.current().filter(item__in=items).select_related("item__text")}
    candidates = Candidate.objects.defer("embedding").in_bulk([pk for item in items for pk in item.candidate_ids[:1]])
    rows = []
    for item in items:
        pair, first = pairs.get(item.pk), candidates.get(item.candidate_ids[0]) if item.candidate_ids else None
        said = pair or first  # what was rejected is the draft that stood on the card
        if said is None:
            continue
        text = item.text
        words = {"instruction": said.instruction, "input": said.input}
        words["response"] = pair.response() if pair else text.body
        rows.append(
            personal_data.masked_in_all(words, text, item.language.code)
            | {
                "kind": "rating",
                "language": item.language.code,
                "language_name": item.language.name,
                "licence": text.licence_id,
                "text_sha256": text.sha256,
                "item": item.public_id,
                "decision": item.state,
                "ratings": sorted((_said(review) for review in reviews[item.pk]), key=lambda said: str(said)),
            }
        )
    return rows


def _said(review: Review) -> dict[str, Any]:
    is_reject = review.decision == Decision.REJECT
    return {
        "alignment": review.rating_alignment,
        "instruction": review.rating_instruction,
        "text": review.rating_text,
        "overall": review.overall or (WORST if is_reject else None),
        "decision": str(review.decision),
    }


def _write(release: Release, rows: list[dict[str, Any]], position: int, digest: Any) -> None:
    lines = [canonical(row) for row in rows]
    ReleaseRow.objects.bulk_create(
        (
            ReleaseRow(
                release=release, position=position + n, pair_public_id=row["item"], item_public_id=row["item"],
                language_code=row["language"], text_sha256=row["text_sha256"], row=row,
                row_sha256=hashlib.sha256(line).hexdigest(),
            )
            for n, (row, line) in enumerate(zip(rows, lines, strict=True))
        ),
        batch_size=BATCH,
    )  # fmt: skip
    for line in lines:
        digest.update(line + b"\n")
