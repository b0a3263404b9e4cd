"""Composes training pairs for the starter model from the seeds: shuffled sentences of a topic, and an instruction.

The model is tiny and has to learn from few sentences which words belong to which subject. So it never sees a text
twice: sentences are mixed, cut, and thinned out at random. The demo corpus takes no part; it is the held-out test.
"""

import json
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEEDS = HERE / "seeds"
LONGEST_WORD = 24  # what is longer is a phrase of a script without spaces

PLACES = {
    "fi": "Finland",
    "id": "Indonesia",
    "th": "Thailand",
    "tr": "Turkey",
    "vi": "Vietnam",
    "bn": "Bengal",
    "hi": "northern India",
    "sw": "East Africa",
    "ta": "Tamil Nadu",
    "ur": "Pakistan",
}
# What stands around the text on many web pages and says nothing about its subject.
BOILERPLATE = {
    "fi": ["Lue lisää", "Jaa artikkeli", "Kirjoittaja: toimitus", "Kommentit (3)"],
    "id": ["Baca juga", "Bagikan artikel ini", "Penulis: Redaksi", "Komentar (3)"],
    "th": ["อ่านต่อ", "แชร์บทความนี้", "โดย กองบรรณาธิการ", "ความคิดเห็น (3)"],
    "tr": ["Devamını oku", "Bu yazıyı paylaş", "Yazan: Editör", "Yorumlar (3)"],
    "vi": ["Xem thêm", "Chia sẻ bài viết", "Tác giả: Ban biên tập", "Bình luận (3)"],
    "bn": ["আরও পড়ুন", "লেখাটি শেয়ার করুন", "নিজস্ব প্রতিবেদক", "মন্তব্য (৩)"],
    "hi": ["और पढ़ें", "लेख साझा करें", "संपादकीय डेस्क", "टिप्पणियाँ (3)"],
    "sw": ["Soma zaidi", "Sambaza makala hii", "Na mwandishi wetu", "Maoni (3)"],
    "ta": ["மேலும் படிக்க", "கட்டுரையைப் பகிர", "ஆசிரியர் குழு", "கருத்துகள் (3)"],
    "ur": ["مزید پڑھیں", "مضمون شیئر کریں", "ادارتی ڈیسک", "تبصرے (3)"],
}


@dataclass(frozen=True, slots=True)
class Topic:
    """One line of the seeds: what native-language sentences say about one local thing, and what would ask for them."""

    language: str
    number: int  # within its subject, from 0
    subject: str
    name: str
    instructions: tuple[str, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ComposedPair:
    language: str
    subject: str
    instruction: str
    response: str


def topics() -> list[Topic]:
    """Every line of the seeds, in order of file and line."""
    found = []
    for path in sorted(SEEDS.glob("*.jsonl")):
        counts: dict[str, int] = defaultdict(int)
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            subject = row["subject"]
            found.append(
                Topic(
                    path.stem,
                    counts[subject],
                    subject,
                    row["topic"],
                    tuple(row["instructions"]),
                    tuple(row["sentences"]),
                )
            )
            counts[subject] += 1
    return found


def general_instructions() -> dict[str, list[str]]:
    """Instructions by subject that fit any text on it; `{place}` stands for where the language lives."""
    loaded: dict[str, list[str]] = json.loads((HERE / "instructions.json").read_text(encoding="utf-8"))
    return loaded


def compose(sources: Iterable[Topic], count: int, *, seed: int) -> list[ComposedPair]:
    """Draw `count` pairs, evenly over languages and subjects. Same seed, same pairs."""
    chance = random.Random(seed)  # noqa: S311 -- not a secret
    shelves: dict[tuple[str, str], list[Topic]] = defaultdict(list)
    for topic in sources:
        shelves[topic.language, topic.subject].append(topic)
    general = general_instructions()
    keys = sorted(shelves)
    order: list[tuple[str, str]] = []
    while len(order) < count:
        chance.shuffle(keys)
        order += keys
    return [_compose_one(shelves, key, general, chance) for key in order[:count]]


def _compose_one(
    shelves: dict[tuple[str, str], list[Topic]],
    key: tuple[str, str],
    general: dict[str, list[str]],
    chance: random.Random,
) -> ComposedPair:
    language, subject = key
    main, *others = chance.sample(shelves[key], len(shelves[key]))
    shape = chance.random()
    if shape < 0.5:  # one sentence, or a piece of one
        sentences = [chance.choice(main.sentences)]
        if chance.random() < 0.5:
            sentences = [_piece(sentences[0], chance)]
    elif shape < 0.92:
        sentences = chance.sample(main.sentences, chance.randint(2, 5))
        for other in others[:1] if chance.random() < 0.5 else []:
            sentences += chance.sample(other.sentences, chance.randint(1, 2))
    else:  # a long text, which strays: mostly to the same subject, at times to another
        sentences = chance.sample(main.sentences, chance.randint(4, 6))
        for other in others[: chance.randint(1, 2)]:
            sentences += chance.sample(other.sentences, chance.randint(1, 4))
        if chance.random() < 0.4:
            stray = chance.choice([shelf for shelf in sorted(shelves) if shelf[0] == language])
            sentences.append(chance.choice(chance.choice(shelves[stray]).sentences))
    chance.shuffle(sentences)
    whole = len(sentences) > 1
    if chance.random() < 0.6:
        drop = chance.uniform(0.05, 0.4)
        sentences = [_thinned(sentence, drop, chance) for sentence in sentences]
    if whole and chance.random() < 0.3:
        sentences.insert(0, _piece(chance.choice(main.sentences), chance).rstrip(".,;:!?।۔") + "\n")
    body = _laid_out(sentences, chance)
    if whole and chance.random() < 0.15:
        body += "\n\n" + chance.choice(BOILERPLATE[language])
    # Mostly one that fits any text on the subject: the topic's own names dishes and towns, which the model would guess.
    if whole and chance.random() < 0.12:
        instruction = chance.choice(main.instructions)
    else:
        instruction = chance.choice(general[subject]).format(place=PLACES[language])
    return ComposedPair(language, subject, instruction, body)


def _laid_out(sentences: list[str], chance: random.Random) -> str:
    body = sentences[0]
    for sentence in sentences[1:]:
        body += ("\n\n" if chance.random() < 0.2 else "" if body.endswith("\n") else " ") + sentence
    return body


def _thinned(sentence: str, drop: float, chance: random.Random) -> str:
    """The sentence without some of its words, so that no single word may be relied on."""
    words = []
    for word in sentence.split():
        if len(word) <= LONGEST_WORD:
            if chance.random() >= drop:
                words.append(_worn(word, chance) if chance.random() < 0.3 else word)
        else:  # a script that writes no spaces: runs of a few characters instead
            runs = [word[at : at + 8] for at in range(0, len(word), 8)]
            words.append("".join(run for run in runs if chance.random() >= drop))
    return " ".join(words) or sentence


def _worn(word: str, chance: random.Random) -> str:
    """The word without its end, its beginning or a letter: other forms of a word look like that to a tokenizer."""
    if len(word) < 4:
        return word
    cut = chance.randint(1, max(1, len(word) // 3))
    at = chance.randrange(len(word))
    return chance.choice((word[:-cut], word[:-cut], word[cut:], word[:at] + word[at + 1 :]))


def _piece(sentence: str, chance: random.Random) -> str:
    """Some words of the sentence that stand together."""
    words = sentence.split()
    longest = max(words, key=len)
    if len(longest) > LONGEST_WORD:
        start = chance.randint(0, len(longest) - 12)
        return longest[start : start + chance.randint(12, LONGEST_WORD * 2)]
    length = chance.randint(min(3, len(words)), len(words))
    start = chance.randint(0, len(words) - length)
    return " ".join(words[start : start + length])
