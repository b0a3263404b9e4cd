"""The ten languages we start with, and how an eleventh comes in: name, script and direction by its BCP 47 code."""

from dataclasses import dataclass

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
