"""Which pairs are learned from, which are held out, and how often each is taken."""

from generation import lessons
from generation.models import Split


def row(instruction: str, text: str, **fields: str) -> dict[str, str]:
    return {"instruction": instruction, "response": f"Teksti {text}.", "text_sha256": text, "from": "fi-1", **fields}


def test_neither_a_document_nor_an_instruction_is_on_both_sides():
    rows = [row(f"Describe {number // 2}.", f"{number % 150}") for number in range(400)]

    learned, held_out = lessons.split(rows, 0.2, seed=1)

    assert len(learned) + len(held_out) == 400
    assert held_out
    for key in ("instruction", "text_sha256"):
        assert not {each[key] for each in learned} & {each[key] for each in held_out}


def test_about_the_share_that_was_asked_for_is_held_out_and_the_same_each_time():
    rows = [row(f"Describe {number}.", f"{number}") for number in range(100)]

    learned, held_out = lessons.split(rows, 0.1, seed=1)

    assert (len(learned), len(held_out)) == (90, 10)
    assert lessons.split(rows, 0.1, seed=1) == (learned, held_out)
    assert lessons.split(rows, 0.1, seed=2) != (learned, held_out)
    assert lessons.split(rows, 0.0, seed=1) == (rows, [])


def test_passages_of_one_page_stay_together():
    rows = [row(f"Describe {number}.", f"{number}", url=f"https://example.org/{number // 5}") for number in range(50)]

    _, held_out = lessons.split(rows, 0.2, seed=1)

    assert len(held_out) == 10
    assert len({each["url"] for each in held_out}) == 2


def test_what_hangs_together_with_a_test_row_is_not_learned_from():
    rows = [
        row("Describe fish.", "1", split=Split.TEST),
        row("describe  fish.", "2", split=""),
        row("Describe birds.", "2", split=""),
        row("Describe snow.", "3", split=Split.VALIDATION),
        row("Describe rain.", "4", split=Split.TRAIN),
    ]

    assert lessons.split(rows, 0.5, seed=1) == ([rows[4]], [rows[3]])


def test_a_weight_says_how_often_the_pairs_of_a_source_are_taken():
    rows = [row(f"Describe {number}.", "1") for number in range(100)]
    seeds = [row(f"Write {number}.", "2") | {"from": lessons.SEEDS} for number in range(100)]

    taken = lessons.weighted(rows + seeds, {"fi-1": 2, lessons.SEEDS: 0.5}, seed=0)

    assert sum(each["from"] == "fi-1" for each in taken) == 200
    assert 30 < sum(each["from"] == lessons.SEEDS for each in taken) < 70
