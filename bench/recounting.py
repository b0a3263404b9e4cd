"""What the pages count of a language, beside the same numbers counted one by one from the rows, in plain Python.

The second way shares no query with the first: it reads whole tables and looks at each row. For small languages.
"""

import datetime as dt
from collections import Counter, defaultdict
from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from annotation.models import Item
    from xinstruct_site.people.models import Language, User

OPEN = {"free", "held"}
# What a list of items is asked for: a state of items, or what became of their pairs.
OF_ITEMS, OF_PAIRS = ("open", "rejected", "disputed", "withdrawn"), ("accepted", "held", "excluded")
UNDECIDED = {"open", "disputed"}
PIPELINE = ("texts", "drafted", "selected", "waiting", "accepted")


class Rows:
    """All that there is of a language, by what the counts below look for."""

    def __init__(self, language: "Language") -> None:
        from django.utils import timezone

        from annotation.models import Audit, Comment, Item, Pair, Review, Skip, Slot

        self.now = timezone.now()
        self.items = {item.pk: item for item in Item.objects.filter(language=language).select_related("text", "gold")}
        self.all_reviews = list(Review.objects.filter(item__language=language))
        self.reviews = [review for review in self.all_reviews if review.withdrawn_at is None]
        self.pairs = list(Pair.objects.filter(item__language=language, is_current=True))
        self.slots = list(Slot.objects.filter(language=language))
        self.skips = list(Skip.objects.filter(item__language=language))
        self.comments = list(Comment.objects.filter(item__language=language))
        self.audits = list(Audit.objects.filter(item__language=language, withdrawn_at=None))
        self.counted = [review for review in self.reviews if review.slot_id]
        self.reviews_of = grouped(self.reviews)
        self.counted_of = grouped(self.counted)
        self.slots_of = grouped(self.slots)

    def is_normal(self, row: Any) -> bool:
        return bool(self.items[row.item_id].kind == "normal")


def grouped(rows: list[Any]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.item_id].append(row)
    return found


def differences(language: "Language", people: list[int]) -> list[str]:
    """The numbers of which the pages say another than the rows, in words."""
    from xinstruct_site.people.models import Language, User

    language = Language.objects.get(pk=language.pk)
    users = list(User.objects.filter(pk__in=people).order_by("pk"))
    rows = Rows(language)
    said, true = shown(language, users), counted(rows, language, users)
    found = [
        f"{name}: {said.get(name)!r} is shown, {true.get(name)!r} there is"
        for name in said.keys() | true.keys()
        if said.get(name, 0) != true.get(name, 0)
    ]
    return sorted(found) + broken(rows)


def shown(language: "Language", users: "list[User]") -> dict[str, Any]:
    """What the pages say, by the functions that they ask."""
    from annotation import (
        adjudicating,
        auditing,
        comments,
        deciding,
        desk,
        finding,
        overview,
        policies,
        queues,
        screening,
    )
    from annotation.models import Tally

    numbers: dict[str, Any] = {}
    for user in users:
        done = queues.progress(user, language)
        seeming = sum(Tally.objects.filter(language=language, person=user).values_list("seeming", flat=True))
        numbers[f"accepted, to {user}"] = done.language_accepted - seeming
        numbers[f"reviews of {user}"] = done.total
        numbers[f"waiting for {user}"] = queues.free_items(user, language)
        threads = comments.heads(user, language)
        numbers[f"threads of {user}"] = (threads.count(), threads.filter(resolved_at=None).count())
        if finding.leads(user, language):
            numbers[f"held for {user}"] = deciding.for_linguist(auditing.held(language), user).count()
            numbers[f"flagged for {user}"] = deciding.for_linguist(auditing.flagged(language), user).count()
            disputed = deciding.for_linguist(adjudicating.disputed(language), user)
            numbers[f"disputed for {user}"] = disputed.count()
    for tally in Tally.objects.filter(language=language).exclude(number=0):
        numbers[f"on {tally.day} by {tally.person_id}"] = tally.number
    numbers["open rules"] = auditing.with_open_rules(language).count()
    numbers["sample"] = auditing.sample(language).count()
    known = desk.count_anew(language)
    figures = known.data
    numbers |= {name: figures["pipeline"][name] for name in PIPELINE} | figures["waiting"]
    numbers |= {f"figures of {person}": said["reviews"] for person, said in figures["people"].items()}
    numbers |= {f"shared by {pair[:2]}": pair[2:] for pair in known.pairs}
    numbers["behind accepted"] = figures["concentration"]["reviews"]
    numbers["edits"] = sum(sum(kinds.values()) for kinds in figures["edits"].values())
    numbers["kept overview"] = overview.count([language])[language.pk]["accepted"]
    lately = policies.numbers(language)
    numbers["lately"] = (lately.people, lately.reviews, lately.left)
    numbers |= {f"open under {row[:3]}": row[3] for row in policies.open_by_version(language)}
    numbers |= {
        f"gold of {person.user.pk}": (person.answers, person.right) for person in screening.people_on_gold(language)
    }
    pace = desk.pace(language)
    numbers["pace"] = tuple(sum(n for _day, n in days) for days in pace)
    for state in OF_ITEMS + OF_PAIRS:
        numbers[f"found {state}"] = found(users[-1], language, state=state)
    for waiting in finding.WAITING:
        numbers[f"found {waiting}"] = found(users[-1], language, waiting=waiting)
    return numbers


def found(user: "User", language: "Language", **asked: str) -> int:
    """How many items the list holds, page after page. The user leads the language."""
    from annotation import finding

    number, after = 0, ""
    while True:
        page = finding.find_items(user, language, after=after, **asked)  # type: ignore[arg-type]
        number += len(page.items)
        after = page.goes_on_after
        if not after:
            return number


def counted(rows: Rows, language: "Language", users: "list[User]") -> dict[str, Any]:
    """The same numbers, row by row."""
    from django.utils import timezone

    from annotation import finding, policies
    from annotation.gold import is_right
    from generation.models import Candidate, Selection, Text

    numbers: dict[str, Any] = {}
    items, day = rows.items, timezone.localdate
    accepted = [pair for pair in rows.pairs if pair.state == "accepted" and rows.is_normal(pair)]
    audited = {audit.pair_id for audit in rows.audits} | {audit.outcome_id for audit in rows.audits}
    auditable = [
        pair
        for pair in rows.pairs
        if pair.state in {"held", "accepted"} and rows.is_normal(pair) and pair.pk not in audited
        and not items[pair.item_id].text.withdrawn_at
    ]  # fmt: skip
    disputed = [i for i in items.values() if i.state == "disputed" and i.kind == "normal" and not i.text.withdrawn_at]
    flagged = {review.item_id for review in rows.reviews if review.flags}
    heads = [comment for comment in rows.comments if comment.thread_id is None]
    for user in users:
        leads = finding.leads(user, language)
        reviewed = {review.item_id for review in rows.reviews if review.reviewer_id == user.pk}
        ever = {review.item_id for review in rows.all_reviews if review.reviewer_id == user.pk}
        numbers[f"accepted, to {user}"] = len(accepted)
        numbers[f"reviews of {user}"] = sum(review.reviewer_id == user.pk for review in rows.reviews)
        numbers[f"waiting for {user}"] = len(waiting_for(user, rows, leads=leads, reviewed=reviewed, ever=ever))
        threads = [
            head for head in heads
            if leads or head.author_id == user.pk
            or (head.item_id in ever and items[head.item_id].state not in UNDECIDED)
        ]  # fmt: skip
        numbers[f"threads of {user}"] = (len(threads), sum(head.resolved_at is None for head in threads))
        if leads:
            held = [p for p in auditable if p.state == "held" and p.item_id not in reviewed]
            numbers[f"held for {user}"] = len(held)
            numbers[f"flagged for {user}"] = sum(
                p.state == "accepted" and p.item_id in flagged and p.item_id not in reviewed for p in auditable
            )
            numbers[f"disputed for {user}"] = sum(item.pk not in reviewed for item in disputed)
    days: Counter[str] = Counter(f"on {day(r.submitted_at)} by {r.reviewer_id}" for r in rows.reviews)
    days.update(f"on {day(pair.created_at)} by None" for pair in accepted)
    numbers |= days
    numbers["open rules"] = sum(bool(audit.rule) and audit.rule_closed_at is None for audit in rows.audits)
    drawn = sorted(accepted, key=lambda pair: pair.public_id)[:50]
    numbers["sample"] = sum(pair in auditable for pair in drawn)
    numbers["texts"] = Text.objects.filter(language=language, withdrawn_at=None, is_practice=False).count()
    drafts = Candidate.objects.filter(text__language=language, state="kept").values_list("text_id", flat=True)
    numbers["drafted"] = len(set(drafts))
    numbers["selected"] = len(
        set(Selection.objects.filter(round__language=language).values_list("text_id", flat=True))
    )  # fmt: skip
    waiting = [item for item in items.values() if item.state == "open"]
    numbers["waiting"], numbers["accepted"], numbers["kept overview"] = len(waiting), len(accepted), len(accepted)
    normal = [item for item in waiting if item.kind == "normal"]
    numbers["one_short"] = sum(is_one_short(item, rows) for item in normal)
    numbers["stuck"] = sum(is_stuck(item, rows) for item in normal)
    of_normal = [review for review in rows.counted if rows.is_normal(review) and review.review_pass == 1]
    numbers |= Counter(f"figures of {review.reviewer_id}" for review in of_normal)
    numbers |= shared(of_normal)
    numbers["behind accepted"] = sum(
        review.decision == "accept" and items[review.item_id].state == "accepted" for review in of_normal
    )
    numbers["edits"] = sum(pair.candidate_id is not None for pair in accepted)
    since = rows.now - dt.timedelta(days=policies.DAYS)
    lately = [r for r in rows.counted if rows.is_normal(r) and r.submitted_at >= since]
    people = len({review.reviewer_id for review in lately})
    numbers["lately"] = (people, len(lately), max(language.goal - len(accepted), 0))
    policy = Counter((item.policy_version, item.overlap, item.quorum) for item in normal)
    numbers |= {f"open under {key}": number for key, number in policy.items()}
    gold: dict[int, list[bool]] = defaultdict(list)
    for review in rows.reviews:
        known = items[review.item_id].gold
        if known is None or known.is_wrong or review.review_pass != 1:
            continue
        if known.retired_at is None or review.submitted_at <= known.retired_at:
            gold[review.reviewer_id].append(is_right(review, known))
    numbers |= {f"gold of {person}": (len(right), sum(right)) for person, right in gold.items()}
    numbers["pace"] = (len(rows.reviews), len(accepted))  # nothing here is older than a month
    for state in OF_ITEMS:
        numbers[f"found {state}"] = sum(
            item.state == state and item.kind != "practice" and not item.gold_id for item in items.values()
        )
    for state in OF_PAIRS:
        numbers[f"found {state}"] = sum(pair.state == state and rows.is_normal(pair) for pair in rows.pairs)
    return numbers | {f"found {name}": numbers[name] for name in ("one_short", "stuck")}


def waiting_for(user: "User", rows: Rows, *, leads: bool, reviewed: set[int], ever: set[int]) -> set[int]:
    """Items with a slot that this person could take now, for a first review or to look at their own again."""
    held = {slot.item_id for slot in rows.slots if slot.holder_id == user.pk}
    skipped = {skip.item_id for skip in rows.skips if skip.user_id == user.pk}
    met = {rows.items[pk].text_id for pk in held | skipped | ever}
    free = [
        slot
        for slot in rows.slots
        if (slot.state == "free" or (slot.state == "held" and (slot.lease_expires_at or rows.now) < rows.now))
        and (leads or not slot.for_linguists)
        and (slot.gold_text_id is None or not leads)
    ]
    first = {
        slot.item_id
        for slot in free
        if slot.item_id not in held | skipped | reviewed and (slot.gold_text_id is None or slot.gold_text_id not in met)
    }
    again = {slot.item_id for slot in free if slot.item_id not in skipped and may_look_again(user, slot, rows)}
    return first | again


def may_look_again(user: "User", slot: Any, rows: Rows) -> bool:
    """Whether the one review that this person wrote of the item is old enough by the item's policy."""
    days = rows.items[slot.item_id].recheck_days
    own = [review for review in rows.reviews_of[slot.item_id] if review.reviewer_id == user.pk]
    if not days or slot.wordings is not None or [review.review_pass for review in own] != [1]:
        return False
    return bool(own[0].slot_id) and own[0].submitted_at + dt.timedelta(days=days) <= rows.now


def is_one_short(item: "Item", rows: Rows) -> bool:
    """Somebody has reviewed it, and one more review would settle it. Tie-breaks are no such thing."""
    open_slots = [slot for slot in rows.slots_of[item.pk] if slot.state in OPEN]
    reviews = rows.counted_of[item.pk]
    return bool(reviews) and len(open_slots) == 1 and open_slots[0].wordings is None


def is_stuck(item: "Item", rows: Rows) -> bool:
    from annotation.finding import STUCK_AFTER

    times = [review.submitted_at for review in rows.reviews_of[item.pk]]
    if again := looked_at_again_from(item, rows):
        times.append(again)  # until then it rests, and nobody is late
    return bool(times) and max(times) <= rows.now - STUCK_AFTER


def looked_at_again_from(item: "Item", rows: Rows) -> dt.datetime | None:
    """When the first of those who reviewed it once may review it again, if there is room for that."""
    room = [slot for slot in rows.slots_of[item.pk] if slot.state in OPEN and slot.wordings is None]
    counted = rows.counted_of[item.pk]
    twice = {review.reviewer_id for review in counted if review.review_pass == 2}
    once = [review.submitted_at for review in counted if review.reviewer_id not in twice]
    return min(once) + dt.timedelta(days=item.recheck_days) if item.recheck_days and room and once else None


def shared(reviews: list[Any]) -> dict[str, list[int]]:
    """For each two people: items both judged, and those of them on which they decided alike."""
    from annotation.figures import ENOUGH_SHARED

    both: Counter[tuple[int, int]] = Counter()
    alike: Counter[tuple[int, int]] = Counter()
    for said in grouped(reviews).values():
        for one, other in combinations(sorted(said, key=lambda review: review.reviewer_id), 2):
            key = (one.reviewer_id, other.reviewer_id)
            both[key] += 1
            alike[key] += one.decision == other.decision
    return {f"shared by {list(k)}": [n, alike[k]] for k, n in both.items() if n >= ENOUGH_SHARED}


def broken(rows: Rows) -> list[str]:
    """What rows say against each other."""
    found = []
    current = {pair.item_id: pair for pair in rows.pairs}
    states: dict[str, set[str | None]] = {
        "accepted": {"accepted", "held", "excluded"},
        "disputed": {"disputed", None},
    }
    for item in rows.items.values():
        pair = current.get(item.pk)
        if item.kind != "practice" and (pair and pair.state) not in states.get(item.state, {None}):
            found.append(f"{item} is {item.state} and its pair {pair and pair.state}")
        open_slots = [slot for slot in rows.slots_of[item.pk] if slot.state in OPEN]
        if bool(open_slots) != (item.state == "open"):
            found.append(f"{item} is {item.state} and has {len(open_slots)} open slots")
        reviewers = sorted({review.reviewer_id for review in rows.counted_of[item.pk]})
        if any(slot.reviewed_by != reviewers for slot in open_slots):
            found.append(f"{item} was reviewed by {reviewers}, and its slots say {open_slots[0].reviewed_by}")
        done = sum(slot.state == "done" for slot in rows.slots_of[item.pk])
        if item.state == "open" and len(rows.counted_of[item.pk]) + len(open_slots) < item.overlap:
            found.append(f"{item} has {len(reviewers)} reviews, {done} done and {len(open_slots)} open slots")
    return found
