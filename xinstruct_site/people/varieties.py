"""The varieties and orthographies that a language's lead lists, and how they are spelled wherever they are said.

Texts, pairs and people carry names, not keys: what an import or a reviewer names stands as it was said, on the list or
not, and a retired entry takes nothing away. On the list it is spelled one way.
"""

import re
import unicodedata
from collections.abc import Mapping

from django.db.models import QuerySet
from django.utils import timezone

from xinstruct_site.people.models import Language, User, Variety, VarietyKind

COMMA = re.compile("[,،、]")  # between the names of several
Key = tuple[str, str]  # kind, plain name or tag


def standing(language: Language) -> QuerySet[Variety]:
    return language.varieties.filter(retired_at=None)


def add(language: Language, kind: VarietyKind, name: str, *, tag: str = "", by: User | None = None) -> Variety:
    """Put it on the list. What is there, retired or spelled otherwise, is spelled like this from now on."""
    entry = language.varieties.filter(kind=kind, name__iexact=name).first() or Variety(language=language, kind=kind)
    entry.name, entry.tag, entry.added_by, entry.retired_at = name, tag, by, None
    entry.save()
    return entry


def retire(entry: Variety) -> None:
    """It is offered no more. What carries it stays as it is."""
    Variety.objects.filter(pk=entry.pk, retired_at=None).update(retired_at=timezone.now())


def plain(said: str) -> str:
    return unicodedata.normalize("NFC", " ".join(said.split())).casefold()


def spellings(language: Language) -> dict[Key, str]:
    """How the list spells what is said: {(kind, plain name or tag): name}. Where two share a tag it says neither."""
    found: dict[Key, str] = {}
    entries = list(standing(language))
    for entry in entries:
        if entry.tag:
            key = (entry.kind, plain(entry.tag))
            found[key] = "" if key in found else entry.name
    return found | {(entry.kind, plain(entry.name)): entry.name for entry in entries}


def spelled(known: Mapping[Key, str], kind: str, said: str) -> str:
    """A name as the list spells it, or as it was said."""
    return known.get((kind, plain(said))) or said.strip()


def kind_of(known: Mapping[Key, str], said: str) -> VarietyKind:
    """What a name that is said alone means: a variety, unless the list knows it as an orthography only."""
    is_orthography = (VarietyKind.ORTHOGRAPHY, plain(said)) in known and (VarietyKind.VARIETY, plain(said)) not in known
    return VarietyKind.ORTHOGRAPHY if is_orthography else VarietyKind.VARIETY


def several(said: str) -> list[str]:
    """The names in a line that lists them with commas between."""
    return [name for part in COMMA.split(said) if (name := " ".join(part.split()))]
