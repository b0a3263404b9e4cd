"""Which accepted pairs a release takes: the query as people read it, as the database answers it, and in words.

A release keeps its query, so what is in here stays readable for as long as releases do.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import reduce
from operator import or_
from typing import Any, Self

from django.db.models import (
    Avg,
    BooleanField,
    Case,
    Count,
    Exists,
    F,
    FloatField,
    Func,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Cast, Collate
from django.utils.translation import gettext as _

from annotation.models import Decision, Flag, Pair, Review
from annotation.splitting import SHARES, SPLIT_FROM
from generation import licences
from generation.licences import Source
from generation.models import PREFERENCES
from xinstruct_site.people.models import Language, VarietyKind

MARK, EXCLUDE = "mark", "exclude"


@dataclass(frozen=True, slots=True)
class Filters:
    """What a release is asked to hold. Whatever is left empty asks for nothing."""

    preferences: bool = False  # with the drafts that people did not want
    overall_min: int | None = None  # everybody who accepted it gave at least so much
    agreement_min: int | None = None  # so many of 100 counted reviews accepted it
    reviews_min: int | None = None  # so many people ended with these words
    policy_min: int | None = None  # decided under this version of its language's policy, or a later one
    sources: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()  # of the texts, as the texts spell them
    varieties: tuple[str, ...] = ()  # code:kind:name; a language of which none is named is taken whole
    without_flags: tuple[str, ...] = ()  # no standing review raised one of these
    licence: str = ""  # what it is to be published under; pairs that cannot be are left out
    rows_min: int | None = None  # of a language
    small_languages: str = MARK  # what becomes of a language with fewer
    shares: tuple[int, ...] = SHARES
    seed: int = 0
    split_from: int = SPLIT_FROM  # fewer pairs are all for training

    def as_query(self, languages: Iterable[Language]) -> dict[str, Any]:
        """As Release.query keeps it: only what was asked for."""
        query: dict[str, Any] = {
            "languages": sorted(language.code for language in languages),
            "pairs": "accepted, current",
            "items": "normal",
            "splits": {"shares": list(self.shares), "seed": self.seed, "from": self.split_from},
        }
        if self.preferences:
            query["kind"] = PREFERENCES
        for name in ASKED:
            if value := getattr(self, name):
                query[name] = sorted(value) if isinstance(value, tuple) else value
        if self.rows_min:
            query["small_languages"] = self.small_languages
        return query

    def of_kind(self, kind: str) -> dict[str, list[str]]:
        """By language, the varieties or the orthographies that are wanted of it."""
        found: dict[str, list[str]] = {}
        for wanted in self.varieties:
            code, of_kind, name = wanted.split(":", 2)
            if of_kind == kind:
                found.setdefault(code, []).append(name)
        return found

    @classmethod
    def of_query(cls, query: dict[str, Any]) -> Self:
        """The filters that a release was asked for with. Releases from before there were any have none."""
        splits = query.get("splits", {})
        asked = {name: query[name] for name in (*ASKED, "small_languages") if name in query}
        asked = {name: tuple(value) if isinstance(value, list) else value for name, value in asked.items()}
        return cls(
            preferences=query.get("kind") == PREFERENCES,
            shares=tuple(splits.get("shares", SHARES)),
            seed=splits.get("seed", 0),
            split_from=splits.get("from", SPLIT_FROM),
            **asked,
        )


def variety(code: str, kind: str, name: str) -> str:
    """A variety or an orthography of a language as Filters.varieties names it."""
    return f"{code}:{kind}:{name}"


KEPT_APART = {"preferences", "small_languages", "shares", "seed", "split_from"}
ASKED = [field.name for field in fields(Filters) if field.name not in KEPT_APART]


def accepted(languages: Iterable[Language], filters: Filters) -> QuerySet[Pair]:
    """The pairs, in an order that is the same in every database, whatever its collation.

    Small languages are in it still, and of a wanted licence only texts and models are looked at; see `fitting`.
    """
    pairs = Pair.objects.releasable().filter(item__language__in=list(languages))
    reviews = Review.objects.standing().filter(item=OuterRef("item"))
    counted = reviews.filter(slot__isnull=False)
    if filters.overall_min:
        pairs = pairs.exclude(Exists(counted.filter(decision=Decision.ACCEPT, overall__lt=filters.overall_min)))
    if filters.agreement_min:
        accepts = Case(When(decision=Decision.ACCEPT, then=Value(100.0)), default=Value(0.0), output_field=FloatField())
        share = counted.filter(review_pass=1).order_by().values("item").annotate(share=Avg(accepts)).values("share")
        pairs = pairs.alias(agreement=Subquery(share)).filter(agreement__gte=filters.agreement_min)
    if filters.reviews_min:
        agreeing = Func(F("decided_by"), function="jsonb_array_length", output_field=IntegerField())
        pairs = pairs.alias(agreeing=agreeing).filter(agreeing__gte=filters.reviews_min)
        # Where a self-recheck is among them, there are more reviews than people.
        of_pair = Func(
            OuterRef("decided_by"), Cast("pk", TextField()), function="jsonb_exists", output_field=BooleanField()
        )
        people = reviews.filter(of_pair).order_by().values("item").annotate(n=Count("reviewer", distinct=True))
        pairs = pairs.alias(people=Subquery(people.values("n"))).filter(
            ~Exists(reviews.filter(review_pass=2)) | Q(people__gte=filters.reviews_min)
        )
    if filters.policy_min:
        pairs = pairs.filter(policy_version__gte=filters.policy_min)
    if filters.sources:
        pairs = pairs.filter(item__text__source_dataset__in=filters.sources)
    if filters.licences:
        pairs = pairs.filter(item__text__licence_id__in=filters.licences)
    for kind in VarietyKind.values:
        if wanted := filters.of_kind(kind):
            pairs = pairs.filter(_is_in(kind, wanted))
    if filters.without_flags:
        pairs = pairs.exclude(Exists(reviews.filter(flags__has_any_keys=list(filters.without_flags))))
    return pairs.order_by(
        Collate("item__language__code", "C"), Collate("item__text__sha256", "C"), Collate("public_id", "C")
    )


def _is_in(kind: str, wanted: dict[str, list[str]]) -> Q:
    """As a row says it: of the pair, or else of its text."""
    fits = ~Q(item__language__code__in=list(wanted))
    for code, names in wanted.items():
        said = Q(**{f"{kind}__in": names}) | Q(**{kind: "", f"item__text__{kind}__in": names})
        fits |= Q(item__language__code=code) & said
    return fits


def fitting(pairs: QuerySet[Pair], filters: Filters) -> QuerySet[Pair]:
    """Without the pairs that the wanted licence shuts out, and then without the languages that are too small."""
    if filters.licence:
        pairs = pairs.filter(_may_be_under(filters.licence, licences_of(pairs)))
    if filters.rows_min and filters.small_languages == EXCLUDE:
        numbers = pairs.order_by().values_list("item__language").annotate(number=Count("pk"))
        small = [language for language, number in numbers if number < filters.rows_min]
        pairs = pairs.exclude(item__language__in=small)
    return pairs


def licences_of(pairs: QuerySet[Pair]) -> Counter[tuple[str, str | None]]:
    """How many pairs are of a text under this licence and drafted by a model under that one; None: by no model."""
    under = pairs.order_by().values_list("item__text__licence_id", "candidate__run__model_version__licence_id")
    return Counter({(text, model): number for text, model, number in under.annotate(number=Count("pk"))})


def _may_be_under(licence: str, found: Iterable[tuple[str, str | None]]) -> Q:
    def fits(text: str, model: str | None) -> bool:
        sources = [Source("text", text), *([Source("model", model)] if model is not None else [])]
        return not any(licences.clash(source, licence) for source in sources)

    allowed = [
        Q(item__text__licence_id=text, candidate__run__model_version__licence_id=model)
        if model is not None
        else Q(item__text__licence_id=text, candidate=None)
        for text, model in found
        if fits(text, model)
    ]
    return reduce(or_, allowed) if allowed else Q(pk__in=[])


def in_words(query: dict[str, Any]) -> list[tuple[str, str]]:
    """The query of a release as its page shows it: what was asked for, and in which words."""
    filters = Filters.of_query(query)
    flags = dict(Flag.choices)
    shares = " / ".join(map(str, filters.shares))
    split = _("%(shares)s, seed %(seed)d, from %(number)d pairs up")
    split %= {"shares": shares, "seed": filters.seed, "number": filters.split_from}
    small = _("too few for it to be left in") if filters.small_languages == EXCLUDE else _("too few, so marked")
    said: list[tuple[str, Any]] = [
        (_("languages"), ", ".join(query.get("languages", []))),
        (_("overall, of everybody who accepted"), filters.overall_min and f"≥ {filters.overall_min}"),
        (_("reviews that accepted"), filters.agreement_min and f"≥ {filters.agreement_min} %"),
        (_("people who ended with these words"), filters.reviews_min and f"≥ {filters.reviews_min}"),
        (_("version of the review policy"), filters.policy_min and f"≥ {filters.policy_min}"),
        (_("sources"), ", ".join(filters.sources)),
        (_("licences of the texts"), ", ".join(filters.licences)),
        (_("varieties and orthographies"), ", ".join("{0}: {2}".format(*v.split(":", 2)) for v in filters.varieties)),
        (_("without the flags"), ", ".join(str(flags.get(flag, flag)) for flag in filters.without_flags)),
        (_("to be published under"), filters.licence),
        (_("pairs of a language"), filters.rows_min and f"< {filters.rows_min}: {small}"),
        (_("training / validation / test"), "splits" in query and split),
    ]  # fmt: skip
    if filters.preferences:
        said.append((_("kind"), _("with the drafts that people did not want")))
    return [(name, str(words)) for name, words in said if words]
