"""Personal data in a text: where it stands, and what stands there instead in what leaves this house.

E-mail and IP addresses, phone numbers, and numbers of people, cards and accounts whose check digits make it safe to
take them for what they are, in digits of any script. Spans are code points; what people review is the text as it is,
what is exported is masked. What is found of what: bench/personal_data.py.
"""

import functools
import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from generation.models import Text

# Kept readable and never anybody's: example.org and 192.0.2.0/24 are reserved for this.
MASKS = {
    "email": "name@example.org",
    "ip": "192.0.2.1",
    "phone": "[phone number]",
    "national_id": "[identity number]",
    "card": "[card number]",
    "account": "[account number]",
    "source": "[personal data]",
}
# Latin letters only: Thai puts no blank around an address.
LATIN = "A-Za-z\u00c0-\u024f\u1e00-\u1eff"
EMAIL = re.compile(
    rf"(?<![{LATIN}0-9_.+-])[{LATIN}0-9_.+%'-]{{1,64}}@(?:[{LATIN}0-9-]{{1,63}}\.)+[A-Za-z]{{2,24}}(?![A-Za-z0-9_@-])"
)
# Nobody's: an account of programs, domains that are kept for examples, a picture for fine screens.
NOBODYS = re.compile(
    r"^git@|[@.](?:example\.(?:com|org|net)|example|invalid|test|png|jpe?g|gif|svg|webp)$", re.IGNORECASE
)
IPV4 = re.compile(r"(?<![A-Za-z0-9_.])(?:\d{1,3}\.){3}\d{1,3}(?![A-Za-z0-9_]|\.\d)")
# Of the internet as it is given out, which begins with 2 or 3; the rest are scopes in programs.
IPV6 = re.compile(
    r"(?<![A-Za-z0-9_.])(?<!\d:)[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{1,4}(?![A-Za-z0-9_])"
)
# What stands before four small numbers and a dot between them: an address, or what people number in parts.
OF_MACHINES = re.compile(r"(?i:(?<![a-z])(?:ip|dns|host|server|ping|ssh)(?![a-z]))|://|ไอพี|आईपी|আইপি|ஐபி|آئی پی")
OF_VERSIONS = re.compile(
    r"(?i:\bv|\bver\.?|versi\w*|sürüm\w*|phiên bản|toleo|build|release|firmware|§)\W{0,3}$"
    r"|เวอร์ชัน\W{0,3}$|(?<!\S)(?:संस्करण|वर्ज़न|সংস্করণ|ভার্সন|பதிப்பு|ورژن)\W{0,3}$"
)
SMALL_PART = 32  # a version hardly has two parts from here on, an address nearly always
BEFORE = 24  # characters that are looked at for such words
# Seven digits or more, as people part them: the one cheap question that most texts answer with no.
DIGITS = re.compile(r"\d(?:[\s().-]{0,2}\d){6,}")
# Numbers of pages, books and papers.
OF_THINGS = re.compile(
    r"(?:https?://|www\.)(?!wa\.me/)[!-~]+|(?<![A-Za-z0-9.])10\.\d{4,9}/[!-~]+"
    r"|(?:ISBN|ISSN)(?:-1[03])?\W{0,3}[\dX -]{8,17}"
)
# How each number is written, by its module of python-stdnum. Between all groups stands the same sign or none.
WRITTEN = {
    "fi.hetu": r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]",
    "id.nik": r"\d{4}([ .-]?)\d{4}\1\d{4}\1\d{4}|\d{6}([ .])\d{6}\2\d{4}|\d\d([ .])\d\d\3\d\d\3\d{6}\3\d{4}",
    "id.npwp": r"\d\d\.\d{3}\.\d{3}\.\d-\d{3}\.\d{3}",
    "th.pin": r"(?!885\d{5})\d([ -]?)\d{4}\1\d{5}\1\d\d\1\d",  # 885: of goods
    "tr.tckimlik": r"[1-9]\d{2}( ?)\d{3}\1\d{3}\1\d\d",
    "in_.aadhaar": r"[2-9]\d{3}([ -]?)\d{4}\1\d{4}",
    "in_.pan": r"[A-Z]{3}P[A-Z]\d{4}[A-Z]",  # P: of a person
    "in_.epic": r"[A-Z]{3}\d{7}",
    "pk.cnic": r"[1-7]\d{4}(-?)\d{7}\1\d",
    "ke.pin": r"A\d{9}[A-Z]",  # A: of a person
    "luhn": r"[2-6]\d{3}([ -]?)\d{4}\1\d{4}\1\d{4}(?:\1\d{1,3})?|3\d{3}([ -]?)\d{6}\2\d{4,5}",
    "iban": r"[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?",
}
INDIA = ("in_.aadhaar", "in_.pan", "in_.epic")
# Where a number without a country may belong, and the numbers of people that can be checked. Vietnam, Bangladesh and
# Tanzania have none that python-stdnum knows.
COUNTRIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "fi": (("FI",), ("fi.hetu",)),
    "id": (("ID",), ("id.nik", "id.npwp")),
    "th": (("TH",), ("th.pin",)),
    "tr": (("TR",), ("tr.tckimlik",)),
    "vi": (("VN",), ()),
    "bn": (("BD", "IN"), INDIA),
    "hi": (("IN",), INDIA),
    "sw": (("TZ", "KE"), ("ke.pin",)),
    "ta": (("IN", "LK"), INDIA),
    "ur": (("PK", "IN"), ("pk.cnic",)),
}
# A day of a year; a fraction, and the millions and thousands of a sum, which begin with no zero.
DAY = re.compile(r"\d{1,2}([-./ ])\d{1,2}\1(?:1[5-9]|2[0-5])\d\d(?!\d)|(?:1[5-9]|2[0-5])\d\d([-./ ]?)\d\d\2\d\d(?!\d)")
FIGURE = re.compile(r"\d+\.\d+|[1-9]\d{0,2}(?:([\s.])\d{3}){2,}")
ROW = re.compile(r"\d …|… \d")  # a number among others, as in a table
ABROAD = re.compile(r"(?<![\d.,+])(?<!\d[ .()-])00(?=[1-9]\d)")


class Found(NamedTuple):
    start: int
    end: int
    kind: str


def find(body: str, code: str) -> list[Found]:
    """Where personal data stands, in order and not overlapping. `code` is the language's: numbers differ by country."""
    regions, identities = COUNTRIES.get(code.lower().split("-")[0], ((), ()))
    plain = _plain(body)
    found: list[Found] = []
    if "@" in plain:
        found += [Found(*match.span(), "email") for match in EMAIL.finditer(plain) if not NOBODYS.search(match.group())]
    found += [Found(*match.span(), "ip") for match in IPV4.finditer(plain) if _is_ipv4(match)]
    if plain.count(":") > 2:
        found += [Found(*match.span(), "ip") for match in IPV6.finditer(plain) if _is_somewhere(match.group())]
    found += _numbers(plain, regions, identities)
    return _apart(found)


def spans(body: str, code: str, given: Sequence[Sequence[Any]] = ()) -> list[list[Any]]:
    """What is found and what a source gave, as Text keeps it: [start, end, kind]."""
    known = [Found(start, end, "source") for start, end, *_ in given if start < end <= len(body)]
    return [list(each) for each in _apart([*find(body, code), *known])]


def mask(body: str, found: Iterable[Found]) -> str:
    parts, at = [], 0
    for start, end, kind in found:
        parts += [body[at:start], MASKS.get(kind, MASKS["source"])]
        at = end
    return "".join([*parts, body[at:]])


def masked_in_all(words: dict[str, str], text: "Text", code: str) -> dict[str, str]:
    """The words that are made of a text, masked: what is found in them, and whatever its source marked in the text.

    They are looked through anew, for people trim and edit, and an instruction may quote what the text says.
    """
    marked = [text.body[start:end] for start, end, *kind in text.pii_spans if kind in ([], ["source"])]
    quotes = re.compile("|".join(map(re.escape, sorted(filter(str.strip, marked), key=len, reverse=True))) or r"(?!)")
    clean = {}
    for name, said in words.items():
        found = [*find(said, code), *(Found(*match.span(), "source") for match in quotes.finditer(said))]
        clean[name] = mask(said, _apart(found))
    return clean


def _plain(body: str) -> str:
    """The same code points with the digits that everybody knows, and one sign for hyphens."""
    if body.isascii():
        return body
    body = body.replace("\u2010", "-").replace("\u2011", "-")
    return re.sub(r"[^\x00-\x7f\D]", lambda one: str(unicodedata.decimal(one.group())), body)


def _parsed(said: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(said)
    except ValueError:
        return None


def _is_somewhere(said: str) -> bool:
    """An address of a machine somewhere: not in a private range, not ours of the documentation."""
    address = _parsed(said)
    return address is not None and address.is_global


def _is_ipv4(match: re.Match[str]) -> bool:
    """Versions, sections and addresses are written alike; what stands before tells, or else the parts do."""
    if not _is_somewhere(match.group()):
        return False
    before = match.string[max(match.start() - BEFORE, 0) : match.start()]
    if OF_VERSIONS.search(before):
        return False
    parts = map(int, match.group().split("."))
    return sum(part >= SMALL_PART for part in parts) > 1 or bool(OF_MACHINES.search(before))


def _numbers(plain: str, regions: Sequence[str], identities: Sequence[str]) -> list[Found]:
    """Of people, accounts, cards and phones; what numbers a page, a book or a paper is none of them."""
    found = [each for module in identities for each in _checked(plain, "national_id", module)]
    found += _checked(plain, "account", "iban")
    if DIGITS.search(plain):
        found += _checked(plain, "card", "luhn")
        for region in regions or (None,):
            found += _phones(plain, region)
    things = [match.span() for match in OF_THINGS.finditer(plain)] if found else []
    return [each for each in found if not any(each.start < end and start < each.end for start, end in things)]


def _checked(plain: str, kind: str, module: str) -> Iterator[Found]:
    """Numbers that are written as they should be and whose check digits are right."""
    for match in _written(module).finditer(plain):
        number = match.group()
        if (
            " " in number
            and kind != "account"
            and ROW.search(plain[max(match.start() - 2, 0) : match.start()] + "…" + plain[match.end() :][:2])
        ):
            continue
        # A word in capitals may stand behind an account's number.
        while not _stdnum(module).is_valid(re.sub(r"[ .-]", "", number) if module != "fi.hetu" else number):
            number, _, _ = number.rpartition(" ") if kind == "account" else ("", "", "")
            if not number:
                break
        else:
            yield Found(match.start(), match.start() + len(number), kind)


def _phones(plain: str, region: str | None) -> Iterator[Found]:
    import phonenumbers

    # Not every country calls abroad with 00, and everybody writes it.
    dialled = ABROAD.sub(" +", plain)
    mobile = {phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE}
    for match in phonenumbers.PhoneNumberMatcher(dialled, region, leniency=phonenumbers.Leniency.VALID):
        said = match.raw_string.lstrip(" /-" if ")" in match.raw_string else " /-(")
        start = match.end - len(said)
        if re.search(r"\d[.,]$", plain[max(start - 2, 0) : start]) or DAY.match(said.lstrip("(")) or _parsed(said):
            continue
        # Without a zero or a country before it, only a mobile number is known from any other number.
        if FIGURE.fullmatch(said) or (said[0] not in "+(0" and phonenumbers.number_type(match.number) not in mobile):
            continue
        yield Found(start - (plain[start : start + 1] != said[0]), match.end, "phone")


def _apart(found: Iterable[Found]) -> list[Found]:
    """In order; of what overlaps the longest."""
    kept: list[Found] = []
    for each in sorted(found, key=lambda each: (each.start - each.end, each.start)):
        if all(each.end <= other.start or each.start >= other.end for other in kept):
            kept.append(each)
    return sorted(kept)


@functools.cache
def _written(module: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z0-9])(?<!\d[.,-])(?:{WRITTEN[module]})(?![A-Za-z0-9])(?![.,-]\d)")


@functools.cache
def _stdnum(module: str) -> Any:
    return import_module(f"stdnum.{module}")
