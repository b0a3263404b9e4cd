"""What countries and languages are called, by Unicode's CLDR: a name that is typed becomes a code, a code is shown by
name in the language of the pages.

Codes count together what people say in eleven languages. What is no name of a country or language, such as that of a
variety, stays as it was typed.
"""

from collections.abc import Mapping
from functools import cache

from django.conf import settings
from django.utils.translation import get_language

from xinstruct_site.people.varieties import plain, several

TERRITORIES, LANGUAGES = "territories", "languages"
# Codes of two letters that are no country: unions, currency areas, test regions, islands without people.
NO_COUNTRIES = set("AC CP DG EA EU EZ IC QO TA UN XA XB ZZ".split())  # noqa: SIM905
NO_LANGUAGES = {"mul", "und", "zxx"}


@cache
def _names(kind: str, interface: str) -> Mapping[str, str]:
    """{code: name} in that language of the pages, in English where it has no name for it."""
    from babel import Locale

    codes = {
        TERRITORIES: lambda code: len(code) == 2 and code not in NO_COUNTRIES,
        LANGUAGES: lambda code: "_" not in code and code not in NO_LANGUAGES,
    }
    known = dict(getattr(Locale.parse("en"), kind)) | dict(getattr(Locale.parse(interface, sep="-"), kind))
    return {code: name for code, name in known.items() if codes[kind](code)}


@cache
def _codes(kind: str, interface: str) -> Mapping[str, str]:
    """{plain name: code}, of names in every language of the pages; where they differ, in this one."""
    found: dict[str, str] = {}
    for each in (interface, "en", *dict(settings.LANGUAGES)):
        for code, name in _names(kind, each).items():
            found.setdefault(plain(name), code)
    return found


def offered(kind: str) -> list[str]:
    """The names to choose from, in the language of the pages."""
    return sorted(_names(kind, _interface()).values(), key=str.casefold)


def code(kind: str, said: str) -> str:
    """The code of what is called like that, or what was said."""
    said = " ".join(said.split())
    return said if said in _names(kind, "en") else _codes(kind, _interface()).get(plain(said), said)


def name(kind: str, said: str) -> str:
    """What that is called in the language of the pages, be it a code or a name; or what was said."""
    return _names(kind, _interface()).get(code(kind, said), said)


def country_code(said: str) -> str:
    return code(TERRITORIES, said)


def country_name(said: str) -> str:
    return name(TERRITORIES, said)


def language_codes(said: str) -> str:
    """A line of languages and varieties with commas between, its languages by code."""
    return ", ".join(dict.fromkeys(code(LANGUAGES, each) for each in several(said)))


def language_names(said: str) -> str:
    return ", ".join(dict.fromkeys(name(LANGUAGES, each) for each in several(said)))


def _interface() -> str:
    return get_language() or "en"
