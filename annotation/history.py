"""One item's whole history, as far as a person may read it: text, drafts, reviews, outcome, and who did what when."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation import finding, trimming
from annotation.diffing import Piece, shortened, word_diff
from annotation.models import Adjudication, Audit, Concern, Flag, Item, ItemKind, Pair, Review
from generation.models import Candidate, ReleaseRow, ReleaseState, Text
from xinstruct_site.people.models import Event, EventKind, Language, User

EVENTS_SHOWN = 200

WORDS: dict[str, Promise] = {
    EventKind.ITEM_CLAIMED: gettext_lazy("claimed"),
    EventKind.ITEM_SKIPPED: gettext_lazy("skipped"),
    EventKind.SKIP_TAKEN_BACK: gettext_lazy("skip taken back"),
    EventKind.REVIEW_SUBMITTED: gettext_lazy("review sent"),
    EventKind.REVIEW_WITHDRAWN: gettext_lazy("review taken back"),
    EventKind.AUDITED: gettext_lazy("audited"),
    EventKind.AUDIT_TAKEN_BACK: gettext_lazy("audit taken back"),
    EventKind.ADJUDICATED: gettext_lazy("decided by a linguist"),
    EventKind.ADJUDICATION_TAKEN_BACK: gettext_lazy("decision taken back"),
    EventKind.RELABEL_TAKEN_BACK: gettext_lazy("language or variety as before"),
}
RESULTS: dict[str, Promise] = {
    "accepted": gettext_lazy("verdict: accepted"),
    "rejected": gettext_lazy("verdict: rejected"),
    "disputed": gettext_lazy("verdict: disputed"),
}


@dataclass(frozen=True, slots=True)
class Said:
    """A review as it is read: against the draft it started from and the text as it stands."""

    review: Review
    is_own: bool
    instruction: list[Piece]
    response: list[Piece]
    flags: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A pair, current or one that was taken back, with its response against the text."""

    pair: Pair
    response: list[Piece]
    releases: list[str]


@dataclass(frozen=True, slots=True)
class History:
    item: Item
    is_lead: bool
    is_waiting: bool  # for reviews or for a linguist, so others' answers are left out
    drafts: Sequence[Candidate]
    said: list[Said]
    outcomes: list[Outcome]
    events: list[tuple[Event, str]]
    audits: list[Audit]
    notes: list[str]  # of linguists to those who reviewed it
    earlier: list[Said]  # on the item of another language that the text came from; they count no more
    elsewhere: list[tuple[Item, bool]]  # the same text in other languages the person leads; whether it came from there


def history(user: User, item: Item) -> History:
    """All of it for who leads the language and once the item is decided; else the person's own part."""
    is_lead, is_waiting = finding.leads(user, item.language), item.state in finding.UNDECIDED
    sees_all = is_lead and not is_waiting
    reviews = finding.visible_reviews(user, item.language).filter(item=item).order_by("submitted_at", "pk")
    return History(
        item=item,
        is_lead=is_lead,
        is_waiting=is_waiting,
        drafts=item.candidates(),
        said=[said(review, item, user) for review in reviews.select_related("reviewer", "candidate", "relabel")],
        outcomes=_outcomes(item) if sees_all else [],
        events=_events(item, None if sees_all else user),
        audits=audits_of(item) if sees_all else [],
        notes=[] if is_lead else notes_for_reviewers([item.pk]).get(item.pk, []),
        earlier=_earlier(item) if is_lead else [],
        elsewhere=_elsewhere(user, item) if is_lead else [],
    )


def said(review: Review, item: Item, user: User | None = None) -> Said:
    draft = review.candidate.instruction if review.candidate else ""
    return Said(
        review=review,
        is_own=user is not None and review.reviewer_id == user.pk,
        instruction=word_diff(draft, review.instruction) if draft else [Piece("same", review.instruction)],
        response=_against_text(item, review.spans, review.response_edit),
        flags=flags_of([review]),
    )


def flags_of(reviews: Iterable[Review]) -> list[tuple[str, str]]:
    """What is flagged, in words, each with its note."""
    labels = dict(Flag.choices)
    return [(str(labels.get(flag, flag)), note) for review in reviews for flag, note in review.flags.items()]


def _against_text(item: Item, spans: list[dict[str, int]], edit: str | None) -> list[Piece]:
    """What was changed of the kept parts, or else dropped of the text; nothing where it was left as it is."""
    kept = [(span["start"], span["end"]) for span in spans]
    if edit is not None:
        return shortened(word_diff(trimming.response(item.text.body, kept), edit))
    parts = trimming.parts(item.text.body, kept) if kept else []
    return shortened([Piece("same" if part.kept else "gone", part.text) for part in parts])


def _outcomes(item: Item) -> list[Outcome]:
    pairs = list(item.pairs.order_by("-is_current", "-pk"))
    rows = ReleaseRow.objects.filter(pair_public_id__in=[pair.public_id for pair in pairs]).exclude(
        release__state=ReleaseState.FAILED
    )
    releases: dict[str, list[str]] = {}
    for pair_id, name in rows.order_by("release__name").values_list("pair_public_id", "release__name"):
        releases.setdefault(pair_id, []).append(name)
    return [
        Outcome(pair, _against_text(item, pair.spans, pair.response_edit), releases.get(pair.public_id, []))
        for pair in pairs
    ]


def audits_of(item: Item) -> list[Audit]:
    """All audits of an item, newest first; `shown_marks` are the marks with what their tags are called."""
    labels = {value: str(label) for value, label in Concern.choices}
    audits = list(item.audits.select_related("linguist").order_by("-at"))
    for audit in audits:
        audit.shown_marks = [mark | {"label": labels.get(mark["tag"], mark["tag"])} for mark in audit.marks]  # type: ignore[attr-defined]
    return audits


def notes_for_reviewers(items: Collection[int]) -> dict[int, list[str]]:
    """What linguists wrote to those who reviewed these items (by key), without names, oldest first."""
    notes: dict[int, list[str]] = {}
    for rows in (Audit.objects.standing(), Adjudication.objects.standing()):
        said = rows.filter(item__in=items).exclude(note="").order_by("at").values_list("item", "note")
        for item, note in said:
            notes.setdefault(item, []).append(note)
    return notes


def _events(item: Item, actor: User | None) -> list[tuple[Event, str]]:
    events: QuerySet[Event] = Event.objects.filter(subject_type="item", subject_id=item.pk)
    if actor:
        events = events.filter(actor=actor, kind__in=WORDS)
    found = list(events.select_related("actor").order_by("-at", "-pk")[:EVENTS_SHOWN])
    return [(event, words) for event in reversed(found) if (words := _words(event))]


def _words(event: Event) -> str:
    data = event.data
    if event.kind == EventKind.PAIR_DECIDED:
        return str(RESULTS.get(data.get("result", ""), ""))
    if event.kind != EventKind.ITEM_RELABELLED:
        return str(WORDS.get(event.kind, ""))
    if "variety" in data:
        return _("variety: %(variety)s") % {"variety": data["variety"] or "–"}
    if "orthography" in data:
        return _("orthography: %(orthography)s") % {"orthography": data["orthography"] or "–"}
    if "to" in data:
        return _("moved to %(language)s") % {"language": _name(data["to"])}
    return _("came from %(language)s") % {"language": _name(data["from"]["language"])}


def _name(code: str) -> str:
    language = Language.objects.filter(code=code).first()
    return language.local_name() if language else code


def _earlier(item: Item) -> list[Said]:
    """Decided reviews of another language's people, for who leads the language that their text has come to."""
    if not item.text.relabelled_from_id:
        return []
    decided = Review.objects.standing().filter(item__text=item.text.relabelled_from_id, item__kind=ItemKind.NORMAL)
    reviews = decided.exclude(item__state__in=finding.UNDECIDED).order_by("submitted_at", "pk")
    return [said(review, item) for review in reviews.select_related("candidate", "relabel")]


def _elsewhere(user: User, item: Item) -> list[tuple[Item, bool]]:
    text = item.text
    texts = Text.objects.filter(Q(relabelled_from=text) | Q(pk=text.relabelled_from_id))
    same = Item.objects.filter(text__in=texts.values("pk"), round__isnull=False)
    return [
        (other, other.text_id == text.relabelled_from_id)
        for other in same.filter(gold=None).select_related("language", "text").order_by("pk")
        if finding.leads(user, other.language)
    ]
