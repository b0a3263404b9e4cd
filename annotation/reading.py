"""The reads that every submit and every card make, as plain SQL: see people/rows.py for why.

Each asks for all that is wanted at its moment. What a lock must protect is read in a statement after the lock's own,
since a statement that waits for a lock still sees what was there before it waited.
"""

import uuid
from typing import NamedTuple

from django.utils.crypto import salted_hmac

from annotation.models import Autosave, Item, Review, Slot
from generation.models import Candidate, Text
from xinstruct_site.people.agreements import NEWEST_IF_ACCEPTED
from xinstruct_site.people.models import Language, User
from xinstruct_site.people.rows import Columns, fetch, first

ITEM = Columns(Item, "item")
SLOT = Columns(Slot, "slot")
AUTOSAVE = Columns(Autosave, "unsent")
REVIEW = Columns(Review, "review")
CANDIDATE = Columns(Candidate, "candidate", "id", "text_id", "run_id", "instruction", "input")
TEXT = Columns(
    Text, "text", "id", "public_id", "language_id", "title", "body", "variety", "orthography", "url", "domain",
    "crawl_date", "licence_id", "withdrawn_at",
)  # fmt: skip


class Draft(NamedTuple):
    """A candidate as a card offers it: whether its round is the starter model's, and how many called it good and bad
    by itself."""

    candidate: Candidate
    is_starter: bool
    good: int
    bad: int


class Known(NamedTuple):
    """What there is when a submission comes in: of the person, and on the item by anybody."""

    agreement_id: int | None  # the newest version, if they accepted it
    unsent: Autosave | None
    reviews: list[Review]  # the standing ones, and the one of the submission's id wherever it is


ITEM_AND_SLOT = f"""
    SELECT {ITEM.sql}, {TEXT.sql}, {SLOT.sql}
      FROM annotation_item AS item
      JOIN generation_text AS text ON text.id = item.text_id
      LEFT JOIN annotation_slot AS slot ON slot.item_id = item.id AND slot.holder_id = %s AND slot.state = 'held'
     WHERE item.public_id = %s AND item.language_id = %s
"""  # noqa: S608 - columns of our own


def item_and_slot(language: Language, public_id: str, user: User) -> tuple[Item | None, Slot | None]:
    """The item with its text, and the slot under which the person holds it."""
    found = first(ITEM_AND_SLOT, [user.pk, public_id, language.pk], ITEM, TEXT, SLOT)
    if found is None:
        return None, None
    item, text, slot = found
    item.language, item.text = language, text
    return item, slot


LOCKED_ITEM = f"SELECT {ITEM.sql} FROM annotation_item AS item WHERE id = %s FOR NO KEY UPDATE"  # noqa: S608


def locked_item(item: Item) -> Item | None:
    """The item's row as it is now, locked until the transaction ends. Inserts that point at it need not wait."""
    found = first(LOCKED_ITEM, [item.pk], ITEM)
    return found[0] if found else None


LOCKED_SLOTS = f"SELECT {SLOT.sql} FROM annotation_slot AS slot WHERE item_id = %s ORDER BY number FOR UPDATE"  # noqa: S608


def locked_slots(item: Item) -> list[Slot]:
    """All slots of an item, locked until the transaction ends."""
    return [slot for (slot,) in fetch(LOCKED_SLOTS, [item.pk], SLOT)]


AUTOSAVE_OF = f"SELECT {AUTOSAVE.sql} FROM annotation_autosave AS unsent WHERE item_id = %s AND user_id = %s"  # noqa: S608


def autosave_of(item: Item, user: User) -> Autosave | None:
    found = first(AUTOSAVE_OF, [item.pk, user.pk], AUTOSAVE)
    return found[0] if found else None


KNOWN = f"""
    SELECT {AUTOSAVE.sql}, {REVIEW.sql}, ({NEWEST_IF_ACCEPTED})
      FROM people_user AS person
      LEFT JOIN annotation_autosave AS unsent ON unsent.item_id = %(item)s AND unsent.user_id = person.id
      LEFT JOIN annotation_review AS review ON review.id = %(id)s
             OR (review.item_id = %(item)s AND review.withdrawn_at IS NULL)
     WHERE person.id = %(user)s
     ORDER BY review.id
"""  # noqa: S608 - columns of our own


def known(item: Item, user: User, submission_id: uuid.UUID) -> Known:
    found = fetch(KNOWN, {"item": item.pk, "user": user.pk, "id": submission_id}, AUTOSAVE, REVIEW)
    unsent, _, agreement_id = found[0]
    return Known(agreement_id, unsent, [review for _, review, _ in found if review])


COUNTED_REVIEWS = f"""
    SELECT {REVIEW.sql} FROM annotation_review AS review
     WHERE item_id = %s AND withdrawn_at IS NULL AND slot_id IS NOT NULL ORDER BY id
"""  # noqa: S608 - columns of our own


def counted_reviews(item: Item) -> list[Review]:
    """The standing reviews that count towards the verdict."""
    return [review for (review,) in fetch(COUNTED_REVIEWS, [item.pk], REVIEW)]


# From the item's own list: a list that came with the question would be planned for anew each time. Whose drafts they
# are is said of the round, from its first: those of a copy of gold are older than those that it lies among.
DRAFTS = f"""
    SELECT {CANDIDATE.sql},
           (SELECT model.is_starter FROM generation_selection AS beside
              JOIN generation_candidate AS first ON first.id = beside.candidate_ids[1]
              JOIN generation_run AS run ON run.id = first.run_id
              JOIN generation_modelversion AS model ON model.id = run.model_version_id
             WHERE beside.round_id = item.round_id ORDER BY beside.rank LIMIT 1),
           (SELECT count(*) FROM annotation_fastopinion AS said
             WHERE said.item_id = item.id AND said.candidate_id = candidate.id AND said.good),
           (SELECT count(*) FROM annotation_fastopinion AS said
             WHERE said.item_id = item.id AND said.candidate_id = candidate.id AND NOT said.good)
      FROM annotation_item AS item
      CROSS JOIN unnest(item.candidate_ids) WITH ORDINALITY AS listed (id, place)
      JOIN generation_candidate AS candidate ON candidate.id = listed.id
     WHERE item.id = %s
     ORDER BY listed.place
"""  # noqa: S608 - columns of our own


def drafts(item: Item) -> list[Draft]:
    """The item's candidates in the order of the round."""
    found = fetch(DRAFTS, [item.pk], CANDIDATE)
    return [Draft(candidate, bool(is_starter), good, bad) for candidate, is_starter, good, bad in found]


def draft_key(item: Item, candidate_id: int) -> str:
    """What a card calls a draft of this item. Its number would tell how old it is."""
    return "d" + salted_hmac("annotation.draft", f"{item.public_id} {candidate_id}").hexdigest()[:12]
