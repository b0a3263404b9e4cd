"""Random work in a small language, and whether every number still says what the rows say: `python -m bench.operations`.

Reviews, late ones, skips, second thoughts, leases that run out, audits, disputes decided, gold made and retired, texts
moved to another language, questions, policies changed half-way, pauses and take-downs come in random order until so
many have gone through. Now and then, and at the end, bench/recounting.py counts everything anew from the rows.
"""

import argparse
import datetime as dt
import io
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.filling import installation

if TYPE_CHECKING:
    from annotation.models import Item
    from annotation.submissions import Submission
    from xinstruct_site.people.models import Language, User


class NothingToDo(Exception):
    """There is no row that the operation could be played on."""


@dataclass
class World:
    """A language at work and the one beside it, to which some of its texts turn out to belong."""

    language: "Language"
    neighbour: "Language"
    annotators: list[int]
    linguists: list[int]
    chance: random.Random
    wrongs: list[str] = field(default_factory=list)
    releases: int = 0

    def one_of(self, rows: Any) -> Any:
        """A random one of the first rows."""
        found = list(rows[:60])
        if not found:
            raise NothingToDo
        return self.chance.choice(found)

    def person(self, keys: list[int]) -> "User":
        """Read anew: roles, pauses and voices change."""
        from xinstruct_site.people.models import User

        return User.objects.get(pk=self.chance.choice(keys))

    def somewhere(self) -> "Language":
        here = self.neighbour if self.chance.random() < 0.15 else self.language
        here.refresh_from_db()
        return here

    def linguist_for(self, item: "Item") -> "User":
        """A linguist who has not reviewed the item."""
        from xinstruct_site.people.models import User

        reviewed = item.reviews.filter(withdrawn_at=None).values("reviewer")
        return self.one_of(User.objects.filter(pk__in=self.linguists).exclude(pk__in=reviewed))


def make_world(items: int, seed: int) -> World:
    from tests.factories import make_items, make_language, make_user
    from xinstruct_site.people.models import Language, Membership, Role

    language, neighbour = make_language("sw", overlap=2, quorum=2), make_language("ur", overlap=2, quorum=2)
    Language.objects.update(gold_share=5)
    make_items(language, items)
    make_items(neighbour, items // 10)
    annotators = [make_user(f"annotator{n}@bench.invalid", language) for n in range(8)]
    linguists = [make_user(f"linguist{n}@bench.invalid", language, role=Role.LINGUIST) for n in range(4)]
    for people, role in ((annotators, Role.ANNOTATOR), (linguists, Role.LINGUIST)):
        Membership.objects.bulk_create(Membership(user=user, language=neighbour, role=role) for user in people)
    return World(
        Language.objects.get(pk=language.pk), Language.objects.get(pk=neighbour.pk),
        [user.pk for user in annotators], [user.pk for user in linguists], random.Random(seed),
    )  # fmt: skip


# Reviewing


def written(world: World, item: "Item") -> "Submission":
    """What somebody makes of an item. Some texts are in the neighbour's language, some in a variety."""
    from tests.factories import accepting, rejecting

    chance = world.chance
    drafts = item.candidates()
    draft = drafts[0] if drafts else None
    ratings = {"candidate": draft, "overall": chance.choice([3, 4, 4, 4, 5])}
    if item.language_id == world.language.pk and item.pk % 9 == 0 and chance.random() < 0.8:
        return rejecting(flags={"wrong_language": ""}, relabel=world.neighbour)
    if item.pk % 11 == 0 and chance.random() < 0.8:
        return accepting("One.", flags={"wrong_language": "Coast"}, relabel=item.language, **ratings)
    if chance.random() < 0.25:
        return rejecting(overall=chance.choice([None, 1, 2, 3]))
    flags = {"cultural": ""} if chance.random() < 0.15 else {"boilerplate": ""} if chance.random() < 0.1 else {}
    kept = draft.instruction if draft else "One."
    return accepting(chance.choice([kept, kept, kept, "One.", "Two."]), flags=flags, **ratings)


def review(world: World) -> None:
    from annotation import queues, reviewing

    who, language = world.person(world.annotators * 3 + world.linguists), world.somewhere()
    if who.is_paused(language):
        raise NothingToDo
    item = queues.claim_next(who, language).item
    before = queues.progress(who, language).language_accepted
    reviewing.submit(who, item, written(world, item))
    item.refresh_from_db()
    # Gold moves the numbers that this person sees as every other item would.
    pair = item.pairs.filter(is_current=True, state="accepted").first()
    seen = queues.progress(who, language).language_accepted - before
    if seen != (pair is not None):
        world.wrongs.append(f"{item} ({item.kind}) moved the count by {seen} for who decided it")


def review_unasked(world: World) -> None:
    """Late, after somebody took the slot over or the item was decided, or without ever having had a slot."""
    from annotation import reviewing
    from annotation.models import Item

    language = world.somewhere()
    unlocked = Item.objects.filter(language=language, kind="normal").exclude(state="withdrawn")
    item = world.one_of(unlocked.select_related("text", "language").order_by("?"))
    reviewing.submit(world.person(world.annotators), item, written(world, item))


def withdraw(world: World) -> None:
    from annotation import reviewing
    from annotation.models import Review

    standing = Review.objects.standing().filter(item__language=world.somewhere()).order_by("-submitted_at")
    one = world.one_of(standing.select_related("item__text", "item__language", "reviewer", "relabel"))
    reviewing.withdraw(one.reviewer, one)


def hold(world: World) -> None:
    from annotation import queues

    queues.claim_next(world.person(world.annotators), world.somewhere())


def take_up_again(world: World) -> None:
    from annotation import queues
    from annotation.models import Item

    items = Item.objects.filter(language=world.language, state="open", autosaves__isnull=False).select_related(
        "text", "language"
    )
    if not queues.claim_again(world.person(world.annotators), world.one_of(items.order_by("?"))):
        raise NothingToDo


def autosave(world: World) -> None:
    from annotation import queues, reviewing

    who = world.person(world.annotators)
    item = queues.claim_next(who, world.language).item
    reviewing.autosave(who, item, version=0, data={"instruction": str(world.chance.random())})


def skip(world: World) -> None:
    from annotation import queues

    who = world.person(world.annotators)
    queues.skip(who, queues.claim_next(who, world.language).item)


def take_skip_back(world: World) -> None:
    from annotation import queues
    from annotation.models import Skip

    one = world.one_of(Skip.objects.order_by("?").select_related("user", "item__language"))
    queues.take_skip_back(one.user, one.item)


def let_lease_run_out(world: World) -> None:
    from django.utils import timezone

    from annotation.models import Slot

    held = world.one_of(Slot.objects.filter(state="held", lease_expires_at__gt=timezone.now()).order_by("?"))
    Slot.objects.filter(pk=held.pk).update(lease_expires_at=timezone.now() - dt.timedelta(seconds=1))


def grow_old(world: World) -> None:
    """A review was written three weeks ago."""
    from django.db import transaction
    from django.utils import timezone

    from annotation import reviewing, tallies, verdicts
    from annotation.models import Review

    lately = timezone.now() - dt.timedelta(days=1)
    recent = Review.objects.standing().filter(item__language=world.language, item__state="open")
    one = world.one_of(
        recent.filter(submitted_at__gte=lately).order_by("?").select_related("reviewer", "item__text", "item__language")
    )
    before = one.submitted_at - dt.timedelta(days=21)
    tallies.reviewed(one.reviewer, one.item.language_id, one.submitted_at, -1)
    Review.objects.filter(pk=one.pk).update(submitted_at=before)
    tallies.reviewed(one.reviewer, one.item.language_id, before, +1)
    with transaction.atomic():
        verdicts.settle(reviewing.locked(one.item))  # its slots say from when on the person may look at it again


# Linguists


def audit(world: World) -> None:
    from annotation import auditing
    from annotation.agreement import Wording

    pair = world.one_of(auditing.auditable(world.somewhere()).select_related("item__text", "item__language"))
    verdict = world.chance.choice(["pass", "fix", "exclude", "send_back"])
    wording = Wording(f"Fixed {uuid.uuid4()}.") if verdict == "fix" else None
    rule = "Say tori, not market." if world.chance.random() < 0.2 else ""
    sent = auditing.Submission(uuid.uuid4(), verdict, note="x", rule=rule, wording=wording)
    auditing.audit(world.linguist_for(pair.item), pair, sent)


def undo_audit(world: World) -> None:
    from annotation import auditing
    from annotation.models import Audit

    standing = Audit.objects.standing().order_by("-at").select_related("item__text", "item__language", "linguist")
    one = world.one_of(standing)
    auditing.withdraw(one.linguist, one)


def close_rule(world: World) -> None:
    from annotation import auditing

    auditing.close_rule(world.one_of(auditing.with_open_rules(world.language)))


def decide(world: World) -> None:
    from annotation import adjudicating
    from annotation.agreement import Wording

    item = world.one_of(adjudicating.disputed(world.somewhere()).select_related("text", "language"))
    accepts = world.chance.random() < 0.6
    said = ("accept", 4) if accepts else ("reject", 1)
    wording = Wording("Decided.") if accepts else None
    adjudicating.adjudicate(
        world.linguist_for(item), item, adjudicating.Submission(uuid.uuid4(), *said, "x", wording)
    )  # fmt: skip


def undo_decision(world: World) -> None:
    from annotation import adjudicating
    from annotation.models import Adjudication

    standing = Adjudication.objects.filter(withdrawn_at=None).order_by("-at")
    one = world.one_of(standing.select_related("item__text", "item__language", "linguist", "was_pair"))
    adjudicating.withdraw(one.linguist, one)


def make_gold(world: World) -> None:
    from annotation import gold
    from annotation.models import Item

    decided = Item.objects.filter(language=world.somewhere(), state__in=["accepted", "rejected"], gold=None)
    item = world.one_of(decided.exclude(kind="practice").order_by("?").select_related("text", "language"))
    gold.make(item, world.person(world.linguists))


def retire_gold(world: World) -> None:
    from annotation import gold
    from annotation.models import Gold

    known = Gold.objects.filter(retired_at=None).order_by("?").select_related("item__language")
    gold.retire(world.one_of(known), world.person(world.linguists))


def pause(world: World) -> None:
    from annotation import screening
    from annotation.models import PauseReason

    screening.look(world.language)
    who = world.person(world.annotators)
    if screening.pause(who, world.language, PauseReason.GOLD, right=1, answers=4) is None:
        raise NothingToDo


def lift(world: World) -> None:
    from annotation import screening
    from annotation.models import Pause

    one = world.one_of(Pause.objects.filter(lifted_at=None).select_related("user", "language"))
    screening.lift(one, world.person(world.linguists), "Go on.")
    screening.go_on(one.user, one.language)


def change_policy(world: World) -> None:
    from annotation import policies

    language = world.somewhere()
    overlap, quorum = world.chance.choice([(1, 1), (2, 1), (2, 2), (2, 2), (3, 2), (3, 3)])
    recheck_days = world.chance.choice([0, 0, 14]) if overlap > 1 else 0
    wanted = policies.Policy(overlap, quorum, recheck_days, linguists_only=world.chance.random() < 0.1)
    alone = [world.person(world.annotators) for _ in range(world.chance.choice([0, 0, 1]))]
    policies.change(
        language, wanted, alone, author=world.person(world.linguists), based_on=language.policy_version
    )  # fmt: skip


# Questions, and what is around


def ask(world: World) -> None:
    from annotation import comments
    from annotation.models import Item

    item = world.one_of(Item.objects.filter(language=world.language).order_by("?").select_related("language"))
    comments.say(world.person(world.annotators), item, "Is this right?")


def answer(world: World) -> None:
    from annotation import comments
    from annotation.models import Comment

    thread = world.one_of(Comment.objects.filter(thread=None).order_by("?").select_related("item__language"))
    comments.say(world.person(world.linguists), thread.item, "It is.", thread)


def resolve(world: World) -> None:
    from annotation import comments
    from annotation.models import Comment

    open_ones = Comment.objects.filter(thread=None, resolved_at=None).order_by("?")
    comments.resolve(world.person(world.linguists), world.one_of(open_ones.select_related("item__language")))


def open_more(world: World) -> None:
    """A round more, where fewer than a hundred items wait."""
    from annotation.models import Item
    from tests.factories import make_items

    if Item.objects.filter(language=world.language, state="open").count() > 100:
        raise NothingToDo
    world.language.refresh_from_db()
    make_items(world.language, 25)


def release(world: World) -> None:
    from django.core.management import call_command

    world.releases += 1
    call_command("build_release", f"release-{world.releases}", language=["sw"], stdout=io.StringIO())


def take_down_text(world: World) -> None:
    from annotation import taking_down
    from annotation.models import Item
    from generation.models import TakeDownKind

    item = world.one_of(Item.objects.filter(language=world.language).order_by("?").select_related("text"))
    taking_down.take_down(TakeDownKind.TEXT, item.text.sha256)


def take_down_contributor(world: World) -> None:
    from annotation import taking_down

    taking_down.take_down_contributor(world.person(world.annotators))


# How often each comes.
OFTEN: dict[Callable[[World], None], float] = {
    review: 40, review_unasked: 3, withdraw: 8, hold: 3, take_up_again: 2, autosave: 3, skip: 3, take_skip_back: 2,
    let_lease_run_out: 4, grow_old: 2, audit: 8, undo_audit: 3, close_rule: 1, decide: 6, undo_decision: 2,
    make_gold: 1, retire_gold: 0.5, pause: 0.5, lift: 1, change_policy: 1, ask: 2, answer: 1, resolve: 1, open_more: 2,
    release: 0.03, take_down_text: 0.4, take_down_contributor: 0.05,
}  # fmt: skip


def play(world: World, count: int, every: int, progress: Progress) -> tuple[Counter[str], Counter[str], list[str]]:
    """Gives how many of each went through, how many were refused, and which numbers were ever wrong."""
    from annotation import deciding, gold, policies, queues, reviewing, submissions
    from bench.recounting import differences

    refusals = (
        NothingToDo, queues.QueueEmpty, submissions.ReviewError, reviewing.StaleAutosave, deciding.DecisionError,
        gold.NoGold, policies.PolicyError,
    )  # fmt: skip
    went: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    wrong: list[str] = []
    task = progress.add_task("operating", total=count)
    while went.total() < count:
        what = world.chance.choices(list(OFTEN), list(OFTEN.values()))[0]
        try:
            what(world)
        except refusals:
            refused[what.__name__] += 1
            continue
        went[what.__name__] += 1
        progress.advance(task)
        if went.total() % every == 0 or went.total() == count:
            for language in (world.language, world.neighbour):
                found = differences(language, world.annotators + world.linguists)
                wrong += [f"after {went.total():,}, {language.code}: {each}" for each in found]
    return went, refused, wrong + world.wrongs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="operations that go through")
    parser.add_argument("--items", type=int, default=400, help="to begin with")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=1000, help="operations between two recounts")
    args = parser.parse_args()
    with installation():
        world = make_world(args.items, args.seed)
        start = time.perf_counter()
        with Progress() as progress:
            went, refused, wrong = play(world, args.count, args.every, progress)
        took = time.perf_counter() - start
    table = Table(title=f"{went.total():,} operations in {took:.0f} s, {1000 * took / went.total():.0f} ms each")
    for heading in ("operation", "went through", "refused"):
        table.add_column(heading, justify="left" if heading == "operation" else "right")
    for what in OFTEN:
        name = what.__name__
        table.add_row(name.replace("_", " "), f"{went[name]:,}", f"{refused[name]:,}")
    Console().print(table)
    for each in wrong[:40]:
        Console().print(each, markup=False)
    Console().print(f"Numbers that a recount found wrong: {len(wrong)}.")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
