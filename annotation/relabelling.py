"""Carries out what reviewers say of a text's language: it moves to the queue of the right one, or gets its variety.

A text is one row per language and body. Moved, it is a row of the other language, too, that points at the one it came
from, and waits there as an item with the same candidates, in that language's round 0. The item it was stays, rejected,
with its reviews. Callers hold the lock of the item that was decided.
"""

from collections import Counter

from django.db import transaction
from django.db.models import Count, Max
from django.utils.translation import gettext as _

from annotation import queues, reading
from annotation.models import Flag, Item, ItemKind, ItemState, Pair, Review, SlotState
from generation.models import ARRIVALS, Round, Selection, Text
from xinstruct_site.people import varieties
from xinstruct_site.people.models import Event, EventKind, Language, User, VarietyKind

LONGEST_VARIETY = Text._meta.get_field("variety").max_length or 80
# What belongs to the row and not to the text.
OF_THE_ROW = {"id", "public_id", "language", "sha256", "relabelled_from", "withdrawn_at", "is_practice"}
OF_THE_ROW |= set(VarietyKind.values)


class NotMoved(Exception):
    """The text stays where it is. The message is for the lead who asked."""


def carry_out(item: Item, reviews: list[Review], actor: User | None) -> None:
    """Do what these reviews, which decided the item, say of its language; nothing unless all of them say the same."""
    named = {review.relabel_id if Flag.WRONG_LANGUAGE in review.flags else None for review in reviews}
    [agreed] = named if len(named) == 1 else [None]
    if agreed is None or item.kind != ItemKind.NORMAL:
        return
    if agreed == item.language_id:
        _set_variety(item, reviews, actor)
    elif item.state == ItemState.REJECTED:
        _move(item, Language.objects.get(pk=agreed), actor)


def take_back(item: Item, actor: User | None) -> None:
    """Undo it where the item is open again. What people of the other language have begun on stays theirs."""
    kinds = [EventKind.ITEM_RELABELLED, EventKind.RELABEL_TAKEN_BACK]
    of_item = Event.objects.filter(subject_type="item", subject_id=item.pk, kind__in=kinds)
    last = of_item.order_by("-at", "-pk").first()
    if last is None or last.kind != EventKind.ITEM_RELABELLED or last.data.keys() & {"from", "by_lead"}:
        return  # nothing was done to it, or only that it came here, or a lead has said what it is
    if kind := next((kind for kind in VarietyKind.values if kind in last.data), None):
        Text.objects.filter(pk=item.text_id, **{kind: last.data[kind]}).update(**{kind: last.data["was"]})
    elif not _remove_untouched(last.data["item"]):
        return
    Event.record(EventKind.RELABEL_TAKEN_BACK, item, actor=actor, language=item.language, **last.data)


def say(item: Item, user: User, **said: str) -> bool:
    """A lead's word on the text's `variety` and `orthography`: it and its pairs carry it. False where they did."""
    with transaction.atomic():
        reading.locked_item(item)
        known = varieties.spellings(item.language)
        changed = False
        for kind, name in said.items():
            was = _tag(item, VarietyKind(kind), varieties.spelled(known, kind, name))
            if was:
                Pair.objects.current().filter(item__text=item.text_id).update(**{kind: was[kind]})
                Event.record(EventKind.ITEM_RELABELLED, item, actor=user, language=item.language, **was, by_lead=True)
                changed = True
    return changed


def move(item: Item, language: Language, user: User) -> None:
    """A lead moves a rejected item's text to another language's queue.

    Raises:
        NotMoved: it is not rejected, or the text cannot wait there.
    """
    with transaction.atomic():
        locked = reading.locked_item(item)
        if locked is None or locked.state != ItemState.REJECTED or locked.kind != ItemKind.NORMAL:
            raise NotMoved(_("Only a rejected item moves to another language: its reviews here stay with it."))
        moved = _move(item, language, user)
        if moved is None or moved.state != ItemState.OPEN:
            raise NotMoved(_("That language has decided on this text already, or it was taken down there."))


def carried(language: Language) -> dict[tuple[str, str], int]:
    """How many texts carry which names: {(kind, name): texts}, most first."""
    found: Counter[tuple[str, str]] = Counter()
    for kind in VarietyKind.values:
        texts = Text.objects.filter(language=language, is_practice=False).exclude(**{kind: ""}).order_by()
        found.update({(kind, name): number for name, number in texts.values_list(kind).annotate(number=Count("pk"))})
    return dict(found.most_common())


def _set_variety(item: Item, reviews: list[Review], actor: User | None) -> None:
    """The variety, or an orthography of the language's list, goes on the text, where the pair takes it from."""
    notes = [review.flags[Flag.WRONG_LANGUAGE] for review in reviews]
    if len(set(map(varieties.plain, notes))) != 1:
        return
    known = varieties.spellings(item.language)
    kind = varieties.kind_of(known, notes[0])
    name = varieties.spelled(known, kind, min(notes, key=str.strip))
    if was := _tag(item, kind, name):
        Event.record(EventKind.ITEM_RELABELLED, item, actor=actor, language=item.language, **was)


def _tag(item: Item, kind: VarietyKind, name: str) -> dict[str, str]:
    """Put a name on the item's text. Gives what the log keeps of it; nothing where the text has it already."""
    was = Text.objects.values_list(kind, flat=True).get(pk=item.text_id)
    if name == was:
        return {}
    Text.objects.filter(pk=item.text_id).update(**{kind: name})
    setattr(item.text, kind, name)
    return {kind.value: name, "was": was}


def _move(item: Item, language: Language, actor: User | None) -> Item | None:
    """The item that it is there, a new one or one that was there before; None where it cannot be."""
    text = _text_in(language, Text.objects.get(pk=item.text_id))
    if text.withdrawn_at or text.is_practice:
        return None  # taken down there, or written to teach: it stays a note
    moved = text.items.exclude(round=None).order_by("pk").first() or _put_before_people(text, item.candidate_ids)
    if moved is None:
        return None  # selected there already, and about to become an item
    about = {"language": item.language.code, "item": item.public_id}
    Event.record(EventKind.ITEM_RELABELLED, moved, actor=actor, language=language, **{"from": about})
    Event.record(
        EventKind.ITEM_RELABELLED,
        item,
        actor=actor,
        language=item.language,
        to=language.code,
        item=moved.public_id,
    )
    return moved


def _text_in(language: Language, text: Text) -> Text:
    fields = {f.name: getattr(text, f.name) for f in Text._meta.concrete_fields if f.name not in OF_THE_ROW}
    fields["relabelled_from"] = text
    return Text.objects.get_or_create(language=language, sha256=text.sha256, defaults=fields)[0]


def _put_before_people(text: Text, candidate_ids: list[int]) -> Item | None:
    if text.selections.exists():
        return None
    arrivals, _is_new = Round.objects.get_or_create(language=text.language, number=ARRIVALS)
    Round.objects.select_for_update(no_key=True).get(pk=arrivals.pk)
    last = arrivals.selections.aggregate(last=Max("rank"))["last"] or 0
    Selection.objects.create(round=arrivals, text=text, rank=last + 1, cluster=0, candidate_ids=candidate_ids)
    queues.open_items(arrivals)
    return Item.objects.get(text=text, round=arrivals)


def _remove_untouched(public_id: str) -> bool:
    """Take the moved item out with its text, unless it was there before or somebody has been at it."""
    item = Item.objects.select_for_update().filter(public_id=public_id, text__relabelled_from__isnull=False).first()
    if item is None:
        return False
    slots = reading.locked_slots(item)
    touched = any(slot.state != SlotState.FREE or slot.claimed_at for slot in slots)
    related = (item.reviews, item.skips, item.autosaves, item.fast_opinions, item.comments, item.text.candidates)
    if touched or any(rows.exists() for rows in related) or item.text.items.exclude(pk=item.pk).exists():
        return False
    text = item.text
    item.delete()
    text.selections.all().delete()
    text.delete()
    return True
