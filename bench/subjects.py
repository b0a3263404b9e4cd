"""The twelve subjects of demo and seeds, and which of them an English instruction names."""

import re

SUBJECTS: dict[str, tuple[str, ...]] = {
    "food": ("food", "dish", "meal", "recipe", "cook", "cooking"),
    "markets": ("market", "bazaar", "vendor", "stall"),
    "festivals": ("festival", "celebration", "celebrate"),
    "weather": ("weather", "rain", "storm", "climate"),
    "proverbs": ("proverb", "saying"),
    "crafts": ("craft", "artisan", "handmade"),
    "transport": ("transport", "bus", "train", "ferry", "road"),
    "health": ("health", "illness", "disease", "medicine"),
    "history": ("history", "historical"),
    "farming": ("farm", "farmer", "farming", "crop"),
    "school": ("school", "pupil", "teacher", "lesson"),
    "sport": ("sport", "match", "player", "athlete"),
}
# The beginning of a word counts, so plurals do, and so does "business" for "bus": strictness is on the safe side.
_PATTERNS = {subject: re.compile(rf"\b(?:{'|'.join(words)})", re.IGNORECASE) for subject, words in SUBJECTS.items()}


def named_subjects(instruction: str) -> set[str]:
    return {subject for subject, pattern in _PATTERNS.items() if pattern.search(instruction)}


def names_only(instruction: str, subject: str) -> bool:
    """Whether the instruction has a word of the subject's list and none of another's."""
    return named_subjects(instruction) == {subject}
