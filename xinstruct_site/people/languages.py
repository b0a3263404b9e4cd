"""The ten languages we start with, and how an eleventh comes in: name, script and direction by its BCP 47 code."""

import unicodedata
from dataclasses import dataclass

from django.conf.locale import LANG_INFO

from xinstruct_site.people.models import Direction, Language


@dataclass(frozen=True, slots=True)
class Profile:
    """What a code stands for. `script` is ISO 15924."""

    code: str
    name: str
    own_name: str
    script: str
    direction: str = Direction.LTR


FIRST_TEN = {
    profile.code: profile
    for profile in (
        Profile("fi", "Finnish", "suomi", "Latn"),
        Profile("id", "Indonesian", "Bahasa Indonesia", "Latn"),
        Profile("th", "Thai", "ไทย", "Thai"),
        Profile("tr", "Turkish", "Türkçe", "Latn"),
        Profile("vi", "Vietnamese", "Tiếng Việt", "Latn"),
        Profile("bn", "Bengali", "বাংলা", "Beng"),
        Profile("hi", "Hindi", "हिन्दी", "Deva"),
        Profile("sw", "Swahili", "Kiswahili", "Latn"),
        Profile("ta", "Tamil", "தமிழ்", "Taml"),
        Profile("ur", "Urdu", "اردو", "Arab", Direction.RTL),
    )
}


def add_language(profile: Profile, **fields: object) -> tuple[Language, bool]:
    """Make the language unless it is there already; an existing one keeps what its community set."""
    return Language.objects.get_or_create(
        code=profile.code,
        defaults={
            "name": profile.name,
            "own_name": profile.own_name,
            "script": profile.script,
            "direction": profile.direction,
            **fields,
        },
    )


# First words of Unicode's character names, for the scripts of the languages that Django has names for.
SCRIPTS = {
    "ARABIC": "Arab", "ARMENIAN": "Armn", "BENGALI": "Beng", "CJK": "Hani", "CYRILLIC": "Cyrl", "DEVANAGARI": "Deva",
    "ETHIOPIC": "Ethi", "GEORGIAN": "Geor", "GREEK": "Grek", "GUJARATI": "Gujr", "GURMUKHI": "Guru", "HEBREW": "Hebr",
    "HANGUL": "Hang", "HIRAGANA": "Jpan", "KANNADA": "Knda", "KHMER": "Khmr", "LATIN": "Latn", "MALAYALAM": "Mlym",
    "MYANMAR": "Mymr", "ORIYA": "Orya", "SINHALA": "Sinh", "TAMIL": "Taml", "TELUGU": "Telu", "THAI": "Thai",
    "TIBETAN": "Tibt",
}  # fmt: skip
# Where the name that a language gives itself misleads about how it is written in full.
SCRIPT_OF = {"ja": "Jpan", "ko": "Kore", "zh-hans": "Hans", "zh-hant": "Hant"}


def look_up(code: str) -> Profile | None:
    """What is known of a language: ours, else what Django carries for some hundred, with the script of its own name."""
    if code in FIRST_TEN:
        return FIRST_TEN[code]
    info = LANG_INFO.get(code.lower())
    if not info or "name_local" not in info:
        return None
    own_name = info["name_local"]
    named = unicodedata.name(next((char for char in own_name if char.isalpha()), " ")).split()[0]
    return Profile(
        code=code,
        name=info["name"],
        own_name=own_name,
        script=SCRIPT_OF.get(code.lower(), SCRIPTS.get(named, "")),
        direction=Direction.RTL if info["bidi"] else Direction.LTR,
    )
