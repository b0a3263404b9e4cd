"""Questions and remarks on items, with answers, until somebody calls them resolved.

While an item waits for reviews or for a linguist, a reviewer reads their own threads only, and nobody's name is shown:
what one person asks would lean on another's answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import finding
from annotation.models import Comment, Item, Review, Slot, SlotState
from xinstruct_site.people.models import Language, Membership, User

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Said:
    """A comment, and who is said to have written it."""

    comment: Comment
    by: str


@dataclass(frozen=True, slots=True)
class Thread:
    head: Comment
    said: list[Said]
    may_resolve: bool


def may_ask(user: User, item: Item) -> bool:
    """Who leads the language, holds a slot of the item, reviewed it or has asked before."""
    return (
        finding.leads(user, item.language)
        or Slot.objects.filter(item=item, holder=user, state=SlotState.HELD).exists()
        or Review.objects.filter(item=item, reviewer=user).exists()
        or Comment.objects.filter(item=item, author=user).exists()
    )


def heads(user: User, language: Language) -> QuerySet[Comment]:
    """The threads of a language that this person may read, newest first."""
    threads = Comment.objects.filter(thread=None, item__language=language).order_by("-at", "-pk")
    if finding.leads(user, language):
        return threads
    reviewed = Exists(Review.objects.filter(item=OuterRef("item"), reviewer=user))
    return threads.filter(Q(author=user) | (reviewed & ~Q(item__state__in=finding.UNDECIDED)))


def threads(user: User, found: Iterable[Comment]) -> list[Thread]:
    """With their answers, oldest first, and names where they may be shown."""
    found = list(found)
    answers: dict[int | None, list[Comment]] = {}
    for answer in Comment.objects.filter(thread__in=found).select_related("author").order_by("at", "pk"):
        answers.setdefault(answer.thread_id, []).append(answer)
    authors = {head.author for head in found} | {answer.author for said in answers.values() for answer in said}
    roles: dict[int, list[Membership]] = {author.pk: [] for author in authors}
    for membership in Membership.objects.filter(user__in=roles).select_related("language"):
        roles[membership.user_id].append(membership)
    leads: dict[int, bool] = {}
    made = []
    for head in found:
        language = head.item.language
        said = [head, *answers.get(head.pk, [])]
        for comment in said:
            if comment.author_id not in leads:
                comment.author.came_with(roles[comment.author_id])
                leads[comment.author_id] = finding.leads(comment.author, language)
        is_lead = leads.setdefault(user.pk, finding.leads(user, language))
        names = is_lead and head.item.state not in finding.UNDECIDED
        made.append(
            Thread(
                head,
                [Said(comment, _named(comment, user, names, leads[comment.author_id])) for comment in said],
                may_resolve=head.resolved_at is None and (is_lead or head.author_id == user.pk),
            )
        )
    return made


def _named(comment: Comment, user: User, names: bool, is_lead: bool) -> str:
    if comment.author_id == user.pk:
        return _("You")
    if names:
        return str(comment.author)
    return _("A linguist") if is_lead else _("A reviewer")


def say(user: User, item: Item, body: str, thread: Comment | None = None) -> Comment:
    """Begin a thread, or go on in one; a resolved one is open again."""
    if thread:
        Comment.objects.filter(pk=thread.pk).update(resolved_at=None, resolved_by=None)
    return Comment.objects.create(item=item, author=user, body=body, thread=thread)


def resolve(user: User, thread: Comment) -> bool:
    """Call a thread resolved. False where it was, or where the person may not."""
    if thread.author_id != user.pk and not finding.leads(user, thread.item.language):
        return False
    open_ones = Comment.objects.filter(pk=thread.pk, thread=None, resolved_at=None)
    return bool(open_ones.update(resolved_at=timezone.now(), resolved_by=user))
