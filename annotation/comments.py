"""Questions and remarks on items, with answers, until somebody calls them resolved; and who is told of them.

While an item waits for reviews or for a linguist, a reviewer reads their own threads only, and nobody's name is shown:
what one person asks would lean on another's answer. Threads on a copy of gold are read, by who leads, on the page of
the item that was made gold.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import finding
from annotation.models import Comment, Item, Review, Slot, SlotState, ThreadSeen
from xinstruct_site.people.models import Language, Membership, User

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Said:
    """A comment, and who is said to have written it. Hidden, its words are for who leads."""

    comment: Comment
    by: str
    body: str
    may_hide: bool
    may_show: bool


@dataclass(frozen=True, slots=True)
class Thread:
    head: Comment
    said: list[Said]
    may_resolve: bool
    may_reopen: bool
    is_news: bool  # somebody else has said something since the person looked
    page: Item  # on whose page it stands


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


def of_item(user: User, item: Item) -> QuerySet[Comment]:
    """The threads of an item that this person may read; for who leads with those of its copies, where it is gold."""
    on_it = Q(item=item)
    if finding.leads(user, item.language):
        on_it |= Q(item__gold__item=item)
    return heads(user, item.language).filter(on_it)


def news(user: User, language: Language) -> int:
    """How many threads want something of the person: of who leads those that are open, of others those that they take
    part in and that somebody has answered since they looked."""
    threads = heads(user, language)
    if finding.leads(user, language):
        threads = threads.filter(resolved_at=None, hidden_at=None)
    else:
        looked = ThreadSeen.objects.filter(thread=OuterRef("thread"), user=user, at__gte=OuterRef("at"))
        answers = Comment.objects.filter(thread=OuterRef("pk"), hidden_at=None).exclude(author=user)
        took_part = Q(author=user) | Exists(Comment.objects.filter(thread=OuterRef("pk"), author=user))
        threads = threads.filter(took_part, Exists(answers.filter(~Exists(looked))))
    return len(threads.values_list("pk")[:SHOWN])


def threads(user: User, language: Language, found: Iterable[Comment]) -> list[Thread]:
    """Threads of a language with their answers, oldest first, and names where they may be shown."""
    found = list(found)
    answers: dict[int | None, list[Comment]] = {}
    for answer in Comment.objects.filter(thread__in=found).select_related("author").order_by("at", "pk"):
        answers.setdefault(answer.thread_id, []).append(answer)
    seen = dict(ThreadSeen.objects.filter(thread__in=found, user=user).values_list("thread", "at"))
    leads = _leads(language, [comment for head in found for comment in (head, *answers.get(head.pk, []))])
    is_lead = finding.leads(user, language)
    made = []
    for head in found:
        said = [head, *answers.get(head.pk, [])]
        names = is_lead and head.item.state not in finding.UNDECIDED
        may_close = is_lead or head.author_id == user.pk
        looked = seen.get(head.pk)
        made.append(
            Thread(
                head,
                [_said(each, _named(each, user, names, each.author_id in leads), user, is_lead) for each in said],
                may_resolve=head.resolved_at is None and may_close,
                may_reopen=head.resolved_at is not None and may_close,
                is_news=any(
                    each.author_id != user.pk and each.hidden_at is None and (looked is None or each.at > looked)
                    for each in said
                ),
                page=head.item.gold.item if is_lead and head.item.gold else head.item,
            )
        )
    return made


def _leads(language: Language, said: Iterable[Comment]) -> set[int]:
    """Which of the authors lead the language."""
    authors = {comment.author_id: comment.author for comment in said}
    roles: dict[int, list[Membership]] = {pk: [] for pk in authors}
    for membership in Membership.objects.filter(user__in=authors).select_related("language"):
        roles[membership.user_id].append(membership)
    for pk, author in authors.items():
        author.came_with(roles[pk])
    return {pk for pk, author in authors.items() if finding.leads(author, language)}


def _said(comment: Comment, by: str, user: User, is_lead: bool) -> Said:
    is_hidden = comment.hidden_at is not None
    return Said(
        comment,
        by,
        comment.body if is_lead or not is_hidden else "",
        may_hide=not is_hidden and (is_lead or comment.author_id == user.pk),
        may_show=is_hidden and is_lead,
    )


def _named(comment: Comment, user: User, names: bool, is_lead: bool) -> str:
    if comment.author_id == user.pk:
        return _("You")
    if names:
        return str(comment.author)
    return _("A linguist") if is_lead else _("A reviewer")


def look(user: User, found: Iterable[Thread]) -> None:
    """The person has had these threads before them."""
    now = timezone.now()
    ThreadSeen.objects.bulk_create(
        [ThreadSeen(thread=thread.head, user=user, at=now) for thread in found if thread.is_news],
        update_conflicts=True, unique_fields=["thread", "user"], update_fields=["at"],
    )  # fmt: skip


def say(user: User, item: Item, body: str, thread: Comment | None = None) -> Comment:
    """Begin a thread, or go on in one; a resolved one is open again."""
    if thread:
        Comment.objects.filter(pk=thread.pk).update(resolved_at=None, resolved_by=None)
    return Comment.objects.create(item=thread.item if thread else item, author=user, body=body, thread=thread)


def resolve(user: User, thread: Comment) -> bool:
    """Call a thread resolved. False where it was, or where the person may not."""
    return _may_close(user, thread) and bool(
        Comment.objects.filter(pk=thread.pk, thread=None, resolved_at=None).update(
            resolved_at=timezone.now(), resolved_by=user
        )
    )


def reopen(user: User, thread: Comment) -> bool:
    """Call it open again. False where it was, or where the person may not."""
    resolved = Comment.objects.filter(pk=thread.pk, thread=None, resolved_at__isnull=False)
    return _may_close(user, thread) and bool(resolved.update(resolved_at=None, resolved_by=None))


def _may_close(user: User, thread: Comment) -> bool:
    return thread.author_id == user.pk or finding.leads(user, thread.item.language)


def hide(user: User, comment: Comment) -> bool:
    """Take the words from everybody but who leads: an author their own, a lead anybody's."""
    if comment.author_id != user.pk and not finding.leads(user, comment.item.language):
        return False
    shown = Comment.objects.filter(pk=comment.pk, hidden_at=None)
    return bool(shown.update(hidden_at=timezone.now(), hidden_by=user))


def show(user: User, comment: Comment) -> bool:
    """A lead brings the words back."""
    if not finding.leads(user, comment.item.language):
        return False
    return bool(Comment.objects.filter(pk=comment.pk).exclude(hidden_at=None).update(hidden_at=None, hidden_by=None))
