"""What was taken down stays down: which texts that means, and which incoming ones are refused.

Knows texts only. What becomes of the work that people did on them, and of releases, is in annotation/taking_down.py.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import accumulate

from django.db import connection
from django.db.models import Q
from django.utils.translation import gettext as _

from generation.models import TakeDown, TakeDownKind, Text
from generation.provenance import domain_of
from xinstruct_site.people.models import Language, User

LOCK = 0x7874  # "xt": the space of our advisory locks
# In SQL as in `plain_url`: what makes no difference to what is there. The scheme, www., a fragment, a slash at the end.
PLAIN_URL = r"rtrim(regexp_replace(lower(url), '^https?://(www\.)?|#.*$', '', 'g'), '/')"
SHA256 = re.compile(r"[0-9a-f]{64}")
DOMAIN = re.compile(r"(?=.{1,253}$)[^\s/:@]+(\.[^\s/:@]+)+")


class NotOne(ValueError):
    """What was given is no address, domain or hash. The message is for who gave it."""


def plain_url(url: str) -> str:
    return re.sub(r"^https?://(www\.)?|#.*$", "", url.lower(), flags=re.DOTALL).rstrip("/")


def plain(kind: TakeDownKind, given: str) -> str:
    """The one form of what was given.

    Raises:
        NotOne: it is none.
    """
    given = given.strip()
    if kind == TakeDownKind.URL:
        if not domain_of(given):
            raise NotOne(
                _("“%(given)s” is not an address. One begins with https:// or http://.") % {"given": given[:200]}
            )
        return plain_url(given)
    value = given.lower().removeprefix("www.").rstrip(".") if kind == TakeDownKind.DOMAIN else given.lower()
    if not (DOMAIN if kind == TakeDownKind.DOMAIN else SHA256).fullmatch(value):
        if kind == TakeDownKind.DOMAIN:
            raise NotOne(_("“%(given)s” is not a domain, such as example.org.") % {"given": given[:200]})
        raise NotOne(_("“%(given)s” is not a SHA-256 of 64 hexadecimal digits.") % {"given": given[:200]})
    return value


def block(kind: TakeDownKind, given: str, *, reason: str = "", by: User | None = None) -> TakeDown:
    """The entry of the list, which is there once."""
    defaults = {"reason": reason, "by": by}
    return TakeDown.objects.get_or_create(kind=kind, value=plain(kind, given), defaults=defaults)[0]


def texts_of(entry: TakeDown) -> set[int]:
    """Keys of the texts that the entry means: with their copies in the languages they were taken for, and all that
    have the same body."""
    found = dict(_named(entry))
    while True:
        others = Text.objects.filter(
            Q(language__in=Language.objects.all(), sha256__in=set(found.values()))
            | Q(relabelled_from__in=found.keys())
            | Q(relabelled_as__in=found.keys())
        ).exclude(pk__in=found.keys())
        if not (more := dict(others.values_list("pk", "sha256"))):
            return set(found)
        found |= more


def _named(entry: TakeDown) -> Iterable[tuple[int, str]]:
    texts = Text.objects.all()
    if entry.kind == TakeDownKind.TEXT:
        texts = texts.filter(language__in=Language.objects.all(), sha256=entry.value)
    elif entry.kind == TakeDownKind.DOMAIN:
        texts = texts.filter(Q(domain=entry.value) | Q(domain__endswith=f".{entry.value}"))
    else:
        host = domain_of(f"https://{entry.value}")
        texts = texts.filter(domain__in=[host, f"www.{host}"])
        at_it = texts.values_list("pk", "sha256", "url").iterator()
        return [(pk, sha256) for pk, sha256, url in at_it if plain_url(url) == entry.value]
    return texts.values_list("pk", "sha256")


def block_bodies(entry: TakeDown, hashes: Iterable[str]) -> None:
    """The same bodies are refused wherever they come from next."""
    TakeDown.objects.bulk_create(
        (
            TakeDown(kind=TakeDownKind.TEXT, value=sha256, reason=entry.reason, because_of=entry, by=entry.by)
            for sha256 in hashes
        ),
        ignore_conflicts=True,
        batch_size=1000,
    )


def refused(incoming: Sequence[tuple[str, str]]) -> dict[int, TakeDown]:
    """Of (body's SHA-256, URL) of each incoming text: which are refused, by their place, and by which entry."""
    keys = {place: set(_keys(sha256, url)) for place, (sha256, url) in enumerate(incoming)}
    wanted: dict[str, set[str]] = {kind: set() for kind in TakeDownKind.values}
    for kind, value in set().union(*keys.values()):
        wanted[kind].add(value)
    asked = Q(pk__in=[])
    for kind, values in wanted.items():
        asked |= Q(kind=kind, value__in=values)
    blocked = {(entry.kind, entry.value): entry for entry in TakeDown.objects.filter(asked)}
    if not blocked:
        return {}
    return {place: blocked[key] for place, each in keys.items() for key in sorted(each) if key in blocked}


def _keys(sha256: str, url: str) -> Iterable[tuple[str, str]]:
    yield str(TakeDownKind.TEXT), sha256
    if url:
        yield str(TakeDownKind.URL), plain_url(url)
        labels = domain_of(url).split(".")
        for domain in accumulate(reversed(labels), lambda below, label: f"{label}.{below}"):
            yield str(TakeDownKind.DOMAIN), domain


# A release that is being built must not come out with what is taken down meanwhile.


def no_take_down_meanwhile() -> None:
    """Until the transaction ends, take-downs wait. Releases that are built at the same time do not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [LOCK])


def no_release_meanwhile() -> None:
    """Wait for releases that are being built, and until the transaction ends, none begins."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
