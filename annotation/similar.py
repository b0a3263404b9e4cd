"""Accepted instructions of other texts that are like an item's: what a reviewer may look at before deciding.

The wording that people accepted replaces the drafted one among the known instructions, so that a selection passes over
what is like it as well. That takes an embedding where they edited, so workers and commands do it, never a page.
"""

from collections import Counter

from django.db.models import F, Q

from annotation.models import Item, ItemKind, Pair, PairQuerySet, PairState
from generation import embedding, likeness
from generation.models import Candidate, KnownInstruction
from xinstruct_site.people.models import Language

SHOWN = 5
BATCH = 500
LOOKED_AT = 500  # of the newest pairs, when a worker looks whether there is something to do
WORTH_A_JOB = 20  # loading the embedder takes seconds


def _accepted() -> PairQuerySet:
    """Gold is none of them: nobody is to find its known answer."""
    return Pair.objects.current().filter(state=PairState.ACCEPTED, item__kind=ItemKind.NORMAL)


def unremembered(language: Language | None = None) -> PairQuerySet:
    """Current accepted pairs whose wording is not among the known instructions yet."""
    pairs = _accepted().filter(item__text__known_instruction__isnull=False)
    if language is not None:
        pairs = pairs.filter(item__language=language)
    known = "item__text__known_instruction__"
    return pairs.filter(Q(**{f"{known}is_accepted": False}) | ~Q(**{f"{known}instruction": F("instruction")}))


def remember_accepted(language: Language) -> int:
    """Put in what people accepted, take back what no longer stands. Returns how many changed; called again, none."""
    standing = _accepted().values("item__text")
    gone = KnownInstruction.objects.filter(language=language, is_accepted=True).exclude(text__in=standing)
    changed = gone.update(is_accepted=False)
    rows = list(unremembered(language).values_list("item__text", "instruction"))
    for start in range(0, len(rows), BATCH):
        some = dict(rows[start : start + BATCH])
        known = list(KnownInstruction.objects.filter(text__in=some))
        edited = [one for one in known if one.instruction != some[one.text_id]]
        vectors = embedding.embed([some[one.text_id] for one in edited]) if edited else []
        for one, vector in zip(edited, vectors, strict=True):
            one.instruction, one.embedding = some[one.text_id], vector
        for one in known:
            one.is_accepted = True
        KnownInstruction.objects.bulk_update(known, ["instruction", "embedding", "is_accepted"])
        changed += len(known)
    return changed


def languages_to_remember() -> list[Language]:
    """Languages in which enough of the newest pairs wait to be remembered."""
    newest = Pair.objects.order_by("-pk").values("pk")[:LOOKED_AT]
    waiting = unremembered().filter(pk__in=newest).values_list("item__language", flat=True)
    many = [pk for pk, number in Counter(waiting).items() if number >= WORTH_A_JOB]
    return list(Language.objects.filter(pk__in=many))


def similar_to(item: Item) -> list[KnownInstruction] | None:
    """Accepted instructions of other texts, most alike first; None where the item's own has no embedding."""
    best = Candidate.objects.filter(pk__in=item.candidate_ids[:1], embedding__isnull=False).first()
    return None if best is None else likeness.similar_accepted(item.text, best.embedding, SHOWN)
