"""Plants personal data into clean texts, and numbers that look like it, and says what is found of which kind.

    python -m bench.personal_data --texts FILE...   JSONL with the keys lang and text; --seed N, --examples N
    python -m bench.personal_data                   texts of the demo corpus

Each text is taken once with each kind of personal data and once with each kind of lookalike: versions, dates, prices,
ISBNs. Prints recall and precision by kind and by language, and what is found in the texts as they are.
"""

import argparse
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import phonenumbers
from stdnum import iban, luhn, verhoeff
from stdnum.fi import hetu
from stdnum.id import nik
from stdnum.iso7064 import mod_97_10
from stdnum.th import pin
from stdnum.tr import tckimlik

from bench.planted_faults import DEMO, read_texts
from bench.planting import Clean
from generation import personal_data

# ZERO of the digits that people of the language also write.
NATIVE_ZERO = {"th": "๐", "bn": "০", "hi": "०", "ta": "௦", "ur": "۰"}
# Who dials where, written for this bench and not taken from the module under test.
COUNTRIES = {
    "fi": "FI", "id": "ID", "th": "TH", "tr": "TR", "vi": "VN", "bn": "BD", "hi": "IN", "sw": "TZ", "ta": "IN",
    "ur": "PK",
}  # fmt: skip
LABELS = {
    "fi": {"email": "sähköposti: ", "phone": "puh. ", "ip": "IP-osoite ", "national_id": "henkilötunnus "},
    "id": {"email": "surel: ", "phone": "telepon ", "ip": "alamat IP ", "national_id": "NIK: "},
    "th": {"email": "อีเมล", "phone": "โทร. ", "ip": "ไอพี ", "national_id": "เลขประจำตัวประชาชน "},
    "tr": {"email": "e-posta: ", "phone": "Tel: ", "ip": "IP adresi ", "national_id": "T.C. kimlik no "},
    "vi": {"email": "thư điện tử: ", "phone": "ĐT: ", "ip": "địa chỉ IP ", "national_id": "số "},
    "bn": {"email": "ইমেইল: ", "phone": "ফোন: ", "ip": "আইপি ", "national_id": "আধার নম্বর "},
    "hi": {"email": "ईमेल: ", "phone": "फ़ोन: ", "ip": "आईपी पता ", "national_id": "आधार संख्या "},
    "sw": {"email": "barua pepe: ", "phone": "simu ", "ip": "anwani ya IP ", "national_id": "PIN "},
    "ta": {"email": "மின்னஞ்சல்: ", "phone": "தொலைபேசி: ", "ip": "ஐபி முகவரி ", "national_id": "ஆதார் எண் "},
    "ur": {"email": "ای میل: ", "phone": "فون: ", "ip": "آئی پی ", "national_id": "شناختی کارڈ نمبر "},
}


@dataclass(frozen=True, slots=True)
class Plant:
    """A text with one thing in it, at `start`. `kind` is what should be said of it, empty for a lookalike."""

    lang: str
    fault: str
    kind: str
    body: str
    start: int
    end: int


Maker = Callable[[str, random.Random], str]


def digits(rng: random.Random, number: int) -> str:
    return "".join(rng.choices("0123456789", k=number))


def name(rng: random.Random) -> str:
    return "".join(rng.choices("abcdefghijklmnoprstuvwy", k=rng.randint(3, 9)))


def grouped(number: str, sizes: Sequence[int], sign: str) -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(number[at : at + size])
        at += size
    return sign.join(part for part in [*parts, number[at:]] if part)


def _email(lang: str, rng: random.Random) -> str:
    host = rng.choice(["posti.{}", "gmail.com", "mail.co.{}", "yliopisto-{}.org"]).format(COUNTRIES[lang].lower())
    local = rng.choice(["{}.{}", "{}_{}", "{}{}", "{}-{}", "{}+{}", "{}.{}99"]).format(name(rng), name(rng))
    return rng.choice([local, local.title(), local.upper()]) + "@" + host


def _ipv4(lang: str, rng: random.Random) -> str:
    """Anybody's address: every part is random, so one in forty looks like a version."""
    while True:
        parts = [rng.randint(1, 223), *(rng.randint(0, 255) for _ in range(3))]
        if parts[0] not in {10, 100, 127, 169, 172, 192, 198, 203}:
            return ".".join(map(str, parts))


def _ipv6(lang: str, rng: random.Random) -> str:
    groups = [f"2{rng.randint(0x400, 0xFFF):x}", *(f"{rng.randint(0, 0xFFFF):x}" for _ in range(7))]
    cut = rng.randint(3, 7)
    return ":".join(groups) if cut == 7 else ":".join(groups[:cut]) + "::" + f"{rng.randint(1, 0xFFFF):x}"


def _number(lang: str, rng: random.Random) -> Any:
    """A number that is in use there: mobile, or of a place."""
    region = COUNTRIES[lang]
    kind = rng.choice([phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE])
    example = phonenumbers.example_number_for_type(region, kind)
    assert example is not None, region
    while True:
        national = phonenumbers.national_significant_number(example)
        kept = rng.randint(1, 3)
        found = phonenumbers.parse(f"+{example.country_code}{national[:kept]}{digits(rng, len(national) - kept)}")
        if phonenumbers.is_valid_number(found):
            return found


def _national(lang: str, rng: random.Random) -> str:
    """As a person writes it: the trunk's zero, and groups by whatever sign and size."""
    number = _number(lang, rng)
    if rng.random() < 0.5:
        return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL))
    prefix = phonenumbers.ndd_prefix_for_region(COUNTRIES[lang], True) or ""
    full = prefix + phonenumbers.national_significant_number(number)
    return grouped(full, rng.choice([(len(full),), (3, 3), (4, 3), (4, 4), (3, 4), (2, 3, 2)]), rng.choice(" -."))


def _international(lang: str, rng: random.Random) -> str:
    number = _number(lang, rng)
    if rng.random() < 0.5:
        return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL))
    code = rng.choice(["+{} ", "+{}", "+{}-", "(+{}) ", "00{} "]).format(number.country_code)
    full = phonenumbers.national_significant_number(number)
    return code + grouped(full, rng.choice([(len(full),), (3, 3), (2, 3, 2), (3, 4)]), rng.choice(" -"))


def _hetu(lang: str, rng: random.Random) -> str:
    day, number = f"{rng.randint(1, 28):02}{rng.randint(1, 12):02}{rng.randint(0, 99):02}", f"{rng.randint(2, 899):03}"
    return day + rng.choice("-ABYX") + number + hetu._calc_checksum(day + number)


def _nik(lang: str, rng: random.Random) -> str:
    while True:
        birth = f"{rng.randint(1, 28) + rng.choice([0, 40]):02}{rng.randint(1, 12):02}{rng.randint(40, 99)}"
        number = f"{rng.randint(11, 94)}{rng.randint(1, 79):02}{rng.randint(1, 30):02}{birth}{rng.randint(1, 20):04}"
        if nik.is_valid(number):
            return grouped(number, *rng.choice([((16,), ""), ((4, 4, 4), " "), ((4, 4, 4), "."), ((6, 6), " ")]))


def _pin(lang: str, rng: random.Random) -> str:
    number = rng.choice("12345678") + digits(rng, 11)
    number += pin.calc_check_digit(number)
    return grouped(number, *rng.choice([((13,), ""), ((1, 4, 5, 2), "-"), ((1, 4, 5, 2), " ")]))


def _tckimlik(lang: str, rng: random.Random) -> str:
    number = rng.choice("123456789") + digits(rng, 8)
    number += tckimlik.calc_check_digits(number)
    return grouped(number, *rng.choice([((11,), ""), ((3, 3, 3), " ")]))


def _aadhaar(lang: str, rng: random.Random) -> str:
    number = rng.choice("23456789") + digits(rng, 10)
    number += verhoeff.calc_check_digit(number)
    return grouped(number, *rng.choice([((12,), ""), ((4, 4), " "), ((4, 4), "-")]))


def _indian(lang: str, rng: random.Random) -> str:
    """Aadhaar, or the cards of tax and of voters."""
    letters = "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=5))
    voter = digits(rng, 6)
    return rng.choice(
        [
            _aadhaar(lang, rng),
            _aadhaar(lang, rng),
            f"{letters[:3]}P{letters[4]}{rng.randint(1, 9999):04}{letters[0]}",
            f"{letters[:3]}{voter}{luhn.calc_check_digit(voter)}",
        ]
    )


def _cnic(lang: str, rng: random.Random) -> str:
    number = rng.choice("1234567") + digits(rng, 11) + rng.choice("123456789")
    return grouped(number, *rng.choice([((13,), ""), ((5, 7), "-"), ((5, 7), "-")]))


def _kenyan(lang: str, rng: random.Random) -> str:
    return f"A{digits(rng, 9)}{rng.choice('ABCDEFGHJKLMNPQRSTUVWXYZ')}"


def _card(lang: str, rng: random.Random) -> str:
    number = rng.choice(["4", "51", "55", "6011", "65"])
    number += digits(rng, 15 - len(number))
    number += luhn.calc_check_digit(number)
    return grouped(number, *rng.choice([((16,), ""), ((4, 4, 4), " "), ((4, 4, 4), "-")]))


def _iban(lang: str, rng: random.Random) -> str:
    """Of Finland, whose account has a check digit of its own, or of Germany, whose has none."""
    number = digits(rng, 13 if lang == "fi" else 18)
    country, account = ("FI", number + luhn.calc_check_digit(number)) if lang == "fi" else ("DE", number)
    whole = country + mod_97_10.calc_check_digits(account + country) + account
    return rng.choice([whole, str(iban.format(whole))])


NATIONAL_IDS: dict[str, Maker] = {
    "fi": _hetu, "id": _nik, "th": _pin, "tr": _tckimlik, "bn": _indian, "hi": _indian, "ta": _indian, "ur": _cnic,
    "sw": _kenyan,
}  # fmt: skip
PERSONAL: dict[str, tuple[str, Maker]] = {
    "e-mail": ("email", _email),
    "IPv4": ("ip", _ipv4),
    "IPv6": ("ip", _ipv6),
    "phone, national": ("phone", _national),
    "phone, international": ("phone", _international),
    "national id": ("national_id", lambda lang, rng: NATIONAL_IDS[lang](lang, rng) if lang in NATIONAL_IDS else ""),
    "card": ("card", _card),
    "account": ("account", _iban),
}
IN_NATIVE_DIGITS = ("IPv4", "phone, national", "phone, international", "national id", "card")


def _isbn(lang: str, rng: random.Random) -> str:
    body = rng.choice(["978", "979"]) + digits(rng, 9)
    body += str(-sum(int(digit) * (1, 3)[at % 2] for at, digit in enumerate(body)) % 10)
    return rng.choice([body, grouped(body, (3, 2, 4, 3), "-"), grouped(body, (3, 3, 3, 3), " ")])


def _isbn10(lang: str, rng: random.Random) -> str:
    body = digits(rng, 9)
    body += "0123456789X"[-sum(int(digit) * (10 - at) for at, digit in enumerate(body)) % 11]
    return "ISBN " + rng.choice([body, grouped(body, (2, 4, 3), "-")])


def _version(lang: str, rng: random.Random) -> str:
    # As programs number themselves: the first parts are small, a build may be anything.
    build = rng.randint(0, rng.choice([60, 255]))
    number = f"{rng.randint(1, 30)}.{rng.randint(0, 20)}.{rng.randint(0, 12)}.{build}"
    return rng.choice(["Python {}", "v{}", "{}", "Version {}", "Chrome {}"]).format(number)


def _date(lang: str, rng: random.Random) -> str:
    day, month, year = f"{rng.randint(1, 28):02}", f"{rng.randint(1, 12):02}", rng.randint(1900, 2568)
    shapes = ["{d}.{m}.{y}", "{y}-{m}-{d}", "{d}/{m}/{y}", "{d}-{m}-{y}", "{y}.{m}.{d}", "{d} {m} {y}", "{y}{m}{d}"]
    return rng.choice(shapes).format(d=day, m=month, y=year)


def _dates(lang: str, rng: random.Random) -> str:
    return _date(lang, rng) + rng.choice([" - ", "–", " "]) + _date(lang, rng)


def _moment(lang: str, rng: random.Random) -> str:
    time = f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}"
    return f"{rng.randint(1990, 2026)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}" + rng.choice("T ") + time


def _price(lang: str, rng: random.Random) -> str:
    amount = rng.randint(1, 9_999_999_999)
    sign = rng.choice([",", ".", " ", "\u00a0", "\u202f"])
    return rng.choice(["{} €", "Rp{}", "{} VND", "₹ {}", "{}", "{},00 TL"]).format(f"{amount:,}".replace(",", sign))


def _years(lang: str, rng: random.Random) -> str:
    first = rng.randint(1800, 2000)
    return rng.choice(["{}–{}", "{}-{}", "{} - {}", "{}, {}"]).format(first, first + rng.randint(1, 60))


def _figures(lang: str, rng: random.Random) -> str:
    """A row of a table."""
    return " ".join(str(rng.randint(1, 9999)) for _ in range(rng.randint(3, 6)))


def _code(lang: str, rng: random.Random) -> str:
    """A goods' bar code, with the country's beginning where it has one."""
    start = {
        "fi": "640",
        "id": "899",
        "th": "885",
        "tr": "869",
        "vi": "893",
        "hi": "890",
        "ta": "890",
        "ur": "896",
        "bn": "894",
        "sw": "620",
    }[lang]
    body = start + digits(rng, 9)
    return body + str(-sum(int(digit) * (1, 3)[at % 2] for at, digit in enumerate(body)) % 10)


def _coordinates(lang: str, rng: random.Random) -> str:
    return f"{rng.uniform(-90, 90):.6f}, {rng.uniform(-180, 180):.6f}"


def _fraction(lang: str, rng: random.Random) -> str:
    return f"{rng.randint(0, 99)}.{digits(rng, rng.randint(8, 16))}"


def _timestamp(lang: str, rng: random.Random) -> str:
    return str(rng.randint(1_500_000_000, 1_800_000_000)) + rng.choice(["", digits(rng, 3)])


def _address(lang: str, rng: random.Random) -> str:
    number = digits(rng, rng.randint(7, 16))
    return rng.choice(
        ["https://news.example.net/a/{}", "www.youtube.com/watch?v={}", "https://x.org/?id={}&p=2"]
    ).format(number)


def _hash(lang: str, rng: random.Random) -> str:
    found = f"{rng.getrandbits(128):032x}"
    return rng.choice(
        [found, grouped(found, (8, 4, 4, 4), "-"), grouped(found[:12], (2,) * 6, ":"), found[:16].upper()]
    )


def _clock(lang: str, rng: random.Random) -> str:
    return f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}:{rng.randint(0, 24):02}"


def _section(lang: str, rng: random.Random) -> str:
    return ".".join(str(rng.randint(1, 30)) for _ in range(4))


def _scope(lang: str, rng: random.Random) -> str:
    return rng.choice(["std::vector", "Foo::Bar", "dead::beef", "a::b", "::before", "De::Ad"])


def _at(lang: str, rng: random.Random) -> str:
    return rng.choice(["react@18.2.0", "icon@2x.png", "@{} ", "git@github.com:org/x.git", "ops@example.com"]).format(
        name(rng)
    )


def _doi(lang: str, rng: random.Random) -> str:
    return rng.choice(["doi:10.{}/{}", "10.{}/s{}"]).format(digits(rng, 4), grouped(digits(rng, 12), (5, 3), "-"))


def _private(lang: str, rng: random.Random) -> str:
    return f"{rng.choice(['192.168', '10.0', '172.16', '127.0'])}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"


LOOKALIKES: dict[str, Maker] = {
    "ISBN-13": _isbn,
    "ISBN-10": _isbn10,
    "version": _version,
    "date": _date,
    "two dates": _dates,
    "date and time": _moment,
    "price": _price,
    "years": _years,
    "row of a table": _figures,
    "bar code": _code,
    "coordinates": _coordinates,
    "fraction": _fraction,
    "timestamp": _timestamp,
    "number in a web address": _address,
    "hash or hardware address": _hash,
    "time code": _clock,
    "section": _section,
    "scope in a program": _scope,
    "at sign": _at,
    "DOI": _doi,
    "private address": _private,
}


def plants(texts: Sequence[Clean], *, seed: int) -> Iterator[Plant]:
    """Every text once with each thing. Half of the personal data is announced as what it is, half of it is not."""
    rng = random.Random(seed)
    for text in texts:
        for fault, (kind, make) in PERSONAL.items():
            if not (said := make(text.lang, rng)):
                continue
            label = LABELS[text.lang].get(kind, "") if rng.random() < 0.5 else ""
            yield _in(text, fault, kind, label, said, rng)
            if text.lang in NATIVE_ZERO and fault in IN_NATIVE_DIGITS:
                native = said.translate({ord("0") + n: ord(NATIVE_ZERO[text.lang]) + n for n in range(10)})
                yield _in(text, f"{fault}, native digits", kind, label, native, rng)
        for fault, make in LOOKALIKES.items():
            yield _in(text, fault, "", "", make(text.lang, rng), rng)


def _in(text: Clean, fault: str, kind: str, label: str, said: str, rng: random.Random) -> Plant:
    """Between two words, as part of the sentence or in brackets; Thai may put no blank around it."""
    body = text.body
    # Not beside another number: it would be part of it.
    blanks = [at for at, sign in enumerate(body) if sign == " " and not re.search(r"\d", body[max(at - 6, 0) : at + 6])]
    blanks = blanks or [len(body)]
    at = rng.choice(blanks)
    before, after = rng.choice([(" ", " "), (" ", ". "), (" (", ") "), (" ", ", "), ("\n", "\n")])
    beside = (body[:at][-1:] + body[at + 1 :][:1]).replace(" ", "")
    if text.lang == "th" and rng.random() < 0.5 and beside and all("ก" <= sign <= "๎" for sign in beside):
        before = after = ""
    head = body[:at] + before + label
    return Plant(text.lang, fault, kind, head + said + after + body[at + 1 :], len(head), len(head) + len(said))


@dataclass
class Findings:
    """By what was planted and by language: rows, and those found as what they are and whole. By kind and language:
    what was said of plants and lookalikes, and what of it rightly."""

    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    right: Counter[tuple[str, str]] = field(default_factory=Counter)
    said: Counter[tuple[str, str]] = field(default_factory=Counter)
    said_rightly: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: list[Plant] = field(default_factory=list)
    wrong: list[tuple[Plant, str, str]] = field(default_factory=list)


def measure(planted: Iterator[Plant]) -> Findings:
    """Look through every planted text. What stands there besides (found in the clean text, too) is left aside."""
    found = Findings()
    for plant in planted:
        key = (plant.fault, plant.lang)
        found.rows[key] += 1
        here = [each for each in personal_data.find(plant.body, plant.lang)
                if each.start < plant.end and each.end > plant.start]  # fmt: skip
        right = [each for each in here if each.kind == plant.kind]
        is_whole = any(each.start <= plant.start and each.end >= plant.end for each in right)
        found.right[key] += is_whole
        for each in here:
            found.said[each.kind, plant.lang] += 1
            found.said_rightly[each.kind, plant.lang] += each.kind == plant.kind
            if not plant.kind:
                found.wrong.append((plant, each.kind, plant.body[each.start : each.end]))
        if plant.kind and not is_whole:
            found.missed.append(plant)
    return found


def share(right: Counter[tuple[str, str]], rows: Counter[tuple[str, str]], what: str, lang: str = "") -> float | None:
    """Of all rows of one kind, or of one kind in one language."""
    number = sum(count for key, count in rows.items() if key[0] == what and lang in {"", key[1]})
    return sum(right[key] for key in rows if key[0] == what and lang in {"", key[1]}) / number if number else None


def show(found: Findings, *, examples: int) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=150)
    langs = sorted({lang for _, lang in found.rows})
    for title, first, right, rows in (
        ("Recall: whole, as what it is", "planted", found.right, found.rows),
        ("Precision among plants and lookalikes", "said to be", found.said_rightly, found.said),
    ):
        table = Table(first, "rows", "all", *langs, title=title)
        for what in dict.fromkeys(key[0] for key in rows):
            if what not in LOOKALIKES:
                number = sum(count for key, count in rows.items() if key[0] == what)
                shares = [share(right, rows, what, lang) for lang in ("", *langs)]
                table.add_row(what, f"{number:,}", *("" if one is None else f"{one:.3f}" for one in shares))
        console.print(table)
    table = Table("lookalike", "rows", "taken for", title="Lookalikes")
    for what in LOOKALIKES:
        kinds = Counter(kind for plant, kind, _ in found.wrong if plant.fault == what)
        number = sum(count for key, count in found.rows.items() if key[0] == what)
        table.add_row(what, f"{number:,}", ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))
    console.print(table)
    for plant in random.Random(1).sample(found.missed, min(examples, len(found.missed))):
        near = plant.body[max(plant.start - 15, 0) : plant.end + 8]
        console.print(f"missed {plant.lang} {plant.fault}: {near!r}", markup=False, soft_wrap=True)
    for plant, kind, said in random.Random(1).sample(found.wrong, min(examples, len(found.wrong))):
        near = plant.body[max(plant.start - 15, 0) : plant.end + 8]
        console.print(f"wrong {plant.lang} {plant.fault} as {kind}: {said!r} in {near!r}", markup=False, soft_wrap=True)


def main(args: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", nargs="+", type=Path, metavar="FILE", help="clean texts: JSONL with lang and text")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=0, help="how many missed and wrong finds to show")
    options = parser.parse_args(args)
    texts = read_texts(options.texts or sorted(DEMO.glob("*.jsonl")))
    show(measure(plants(texts, seed=options.seed)), examples=options.examples)
    for text in texts:
        for each in personal_data.find(text.body, text.lang):
            near = text.body[max(each.start - 30, 0) : each.end + 15]
            print(f"stands there: {text.lang} {each.kind} {text.body[each.start : each.end]!r} in {near!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
