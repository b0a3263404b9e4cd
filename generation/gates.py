"""The gates a text passes on its way in: length, script, language. Pure functions; a reason code or None to keep it."""

import functools
from typing import Any

import regex

from generation.rejections import Reason

# Of the letters. Technical pages in Indic scripts are up to two fifths Latin; romanised text is nearly all of it.
SCRIPT_SHARE_MIN = 0.5
# ISO 15924 codes that are no value of Unicode's Script property: what they are made of.
SCRIPT_PARTS = {
    "Aran": ("Arab",),
    "Cyrs": ("Cyrl",),
    "Hans": ("Hani",),
    "Hant": ("Hani",),
    "Hrkt": ("Hira", "Kana"),
    "Jpan": ("Hani", "Hira", "Kana"),
    "Kore": ("Hang", "Hani"),
    "Latf": ("Latn",),
    "Latg": ("Latn",),
    "Syre": ("Syrc",),
    "Syrj": ("Syrc",),
    "Syrn": ("Syrc",),
}
LETTERS = regex.compile(r"[\p{L}\p{M}--\p{Script=Zinh}]+", flags=regex.V1)
# The identifier's label where it differs from the BCP 47 code.
LABELS = {"arb": "ar", "cmn": "zh", "fil": "tl", "nb": "no", "prs": "fa", "swh": "sw", "zsm": "ms"}
# Languages so alike that the identifier hesitates between them on clean text.
NEAR = {"id": {"ms"}, "ms": {"id"}, "no": {"nn", "da"}, "nn": {"no"}}
NEAR_SCORE_MIN = 0.2


def check_length(body: str, chars_min: int, chars_max: int) -> Reason | None:
    """Counts code points."""
    if len(body) < chars_min:
        return Reason.TOO_SHORT
    if len(body) > chars_max:
        return Reason.TOO_LONG
    return None


def script_share(body: str, script: str) -> float:
    """Which part of the letters (with their vowel signs) is in the script; 0 where there are none."""
    letters = sum(map(len, LETTERS.findall(body)))
    return sum(map(len, _in_script(script).findall(body))) / letters if letters else 0.0


def check_script(body: str, script: str) -> Reason | None:
    return None if script_share(body, script) >= SCRIPT_SHARE_MIN else Reason.WRONG_SCRIPT


@functools.cache
def _in_script(script: str) -> Any:
    """Matches letters of an ISO 15924 script; any letters where Unicode does not know the script."""
    if not script:
        return LETTERS
    parts = "".join(rf"\p{{Script={part}}}" for part in SCRIPT_PARTS.get(script, (script,)))
    try:
        return regex.compile(rf"[\p{{L}}\p{{M}}--\p{{Script=Zinh}}&&[{parts}]]+", flags=regex.V1)
    except regex.error:
        return LETTERS


def detect_language(body: str) -> dict[str, float]:
    """Probabilities by the identifier's labels over the whole text, best first."""
    return dict(_identifier().rank(body))


def check_language(probabilities: dict[str, float], code: str) -> Reason | None:
    """Keep what the identifier takes for the language, and what it cannot tell from it.

    A language that it does not know is never turned away: then the script alone decides.
    """
    primary = code.lower().split("-")[0]
    label = LABELS.get(primary, primary)
    if label not in probabilities:
        return None
    best = next(iter(probabilities))
    if best == label or (best in NEAR.get(label, ()) and probabilities[label] >= NEAR_SCORE_MIN):
        return None
    return Reason.WRONG_LANGUAGE


@functools.cache
def _identifier() -> Any:
    """About 0.2 s and 60 MB the first time, and no state afterwards."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
