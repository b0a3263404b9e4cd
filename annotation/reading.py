"""The reads that every submit and every card make, as plain SQL.

Django takes several times longer to build such a query than PostgreSQL takes to answer it, and a card makes a dozen.
Columns that a statement leaves out are fetched when somebody asks for them. Elsewhere the models' own queries do.
"""

from typing import Any, NamedTuple, TypeVar

from django.db import models

from annotation.models import Autosave, Item, Review, Slot
from generation.models import Candidate, Text
from xinstruct_site.people.models import Language, User

Row = TypeVar("Row", bound=models.Model)


class Draft(NamedTuple):
    """A candidate as a card offers it: is it the starter model's, and how many called it good and bad by itself."""

    candidate: Candidate
    is_starter: bool
    good: int
    bad: int


def one(model: type[Row], sql: str, *values: Any) -> Row | None:
    return next(iter(model._default_manager.raw(sql, values)), None)


def item_by_public_id(language: Language, public_id: str) -> Item | None:
    sql = "SELECT * FROM annotation_item WHERE public_id = %s AND language_id = %s"
    item = one(Item, sql, public_id, language.pk)
    return with_text(item, language) if item else None


def item_of(slot: Slot, language: Language) -> Item:
    item = one(Item, "SELECT * FROM annotation_item WHERE id = %s", slot.item_id)
    assert item  # noqa: S101 - a slot has one
    return with_text(item, language)


def with_text(item: Item, language: Language) -> Item:
    item.language = language
    text = one(Text, TEXT, item.text_id)
    assert text  # noqa: S101 - an item has one
    item.text = text
    return item


TEXT = """
    SELECT id, public_id, language_id, title, body, variety, url, domain, crawl_date, licence_id, withdrawn_at
      FROM generation_text WHERE id = %s
"""


def locked_item(item: Item) -> Item | None:
    """The item's row as it is now, locked until the transaction ends. Inserts that point at it need not wait."""
    return one(Item, "SELECT * FROM annotation_item WHERE id = %s FOR NO KEY UPDATE", item.pk)


def locked_slots(item: Item) -> list[Slot]:
    """All slots of an item, locked until the transaction ends."""
    return list(
        Slot.objects.raw("SELECT * FROM annotation_slot WHERE item_id = %s ORDER BY number FOR UPDATE", [item.pk])
    )


def held_slot(item: Item, user: User) -> Slot | None:
    sql = "SELECT * FROM annotation_slot WHERE item_id = %s AND holder_id = %s AND state = 'held'"
    return one(Slot, sql, item.pk, user.pk)


def autosave_of(item: Item, user: User, *, lock: bool = False) -> Autosave | None:
    sql = "SELECT * FROM annotation_autosave WHERE item_id = %s AND user_id = %s"
    return one(Autosave, f"{sql} FOR UPDATE" if lock else sql, item.pk, user.pk)


def reviews_known(item: Item, user: User, submission_id: Any) -> list[Review]:
    """The review of this id, wherever it is, and the person's standing one of the item."""
    sql = """
        SELECT * FROM annotation_review
         WHERE id = %s OR (item_id = %s AND reviewer_id = %s AND review_pass = 1 AND withdrawn_at IS NULL)
    """
    return list(Review.objects.raw(sql, [submission_id, item.pk, user.pk]))


def counted_reviews(item: Item) -> list[Review]:
    """The standing reviews that count towards the verdict."""
    sql = """
        SELECT * FROM annotation_review
         WHERE item_id = %s AND withdrawn_at IS NULL AND slot_id IS NOT NULL AND review_pass = 1 ORDER BY id
    """
    return list(Review.objects.raw(sql, [item.pk]))


def drafts(item: Item) -> list[Draft]:
    """The item's candidates in the order of the round."""
    sql = """
        SELECT candidate.id, candidate.text_id, candidate.run_id, candidate.instruction, candidate.input,
               model.is_starter,
               (SELECT count(*) FROM annotation_fastopinion AS said
                 WHERE said.item_id = %s AND said.candidate_id = candidate.id AND said.good) AS good,
               (SELECT count(*) FROM annotation_fastopinion AS said
                 WHERE said.item_id = %s AND said.candidate_id = candidate.id AND NOT said.good) AS bad
          FROM generation_candidate AS candidate
          JOIN generation_run AS run ON run.id = candidate.run_id
          JOIN generation_modelversion AS model ON model.id = run.model_version_id
         WHERE candidate.id = ANY(%s)
         ORDER BY array_position(%s, candidate.id)
    """
    rows = Candidate.objects.raw(sql, [item.pk, item.pk, item.candidate_ids, item.candidate_ids])
    return [Draft(row, *(vars(row)[name] for name in ("is_starter", "good", "bad"))) for row in rows]
