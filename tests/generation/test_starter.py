"""The starter model as it lies in the repository, and how it is made again."""

import json

import pytest

from generation import checks, prompts
from generation.backends import hf_local
from generation.backends.base import Sampling, Source
from generation.starter import composing, making

# Written for this test, in no seed and not in the demo.
SENTENCES = {
    "fi": "Keitto kiehuu liedellä ja kattilaan lisätään sipulia, suolaa ja voita. Leipä on vielä lämmintä.",
    "id": "Petani menanam padi di sawah lalu menyiram tanaman setiap pagi. Panen tahun ini lebih baik.",
    "sw": "Wanafunzi wanasoma darasani na mwalimu anaandika ubaoni. Mtihani utafanyika wiki ijayo.",
    "hi": "बस और रेल से यात्रा करने वाले यात्री टिकट लेकर स्टेशन पर इंतज़ार करते हैं।",
    "ur": "آج تیز بارش ہوئی اور بادل گرجتے رہے۔ محکمۂ موسمیات نے مزید بارش کی خبر دی ہے۔",
}


def test_the_starter_model_lies_in_the_repository_and_is_small():
    files = [path for path in hf_local.STARTER_DIR.rglob("*") if path.is_file()]

    names = {path.name for path in files}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "README.md"} <= names
    assert not any(path.suffix in {".bin", ".pt", ".pkl"} for path in files)
    assert sum(path.stat().st_size for path in files) <= 20_000_000


def test_the_card_names_licence_and_languages_and_is_the_one_kept_with_the_seeds():
    card = (hf_local.STARTER_DIR / "README.md").read_text(encoding="utf-8")

    assert card == making.CARD.read_text(encoding="utf-8")
    assert hf_local.identify(Source(model=hf_local.STARTER)).licence_id == "apache-2.0"
    assert all(f"\n- {code}\n" in card for code in composing.PLACES)
    assert "not checked" in card


def test_drafts_of_the_starter_model_pass_the_reply_checks():
    model = hf_local.load(Source(model=hf_local.STARTER))
    asked = [prompts.draft(body, prompts.PAPER) for body in SENTENCES.values()]

    replies = model.generate(asked, sampling=Sampling(), seeds=list(range(len(asked))))

    failed = {
        code: (reply.text, checks.check(prompts.parse_reply(reply.text), body, is_whole=reply.finish_reason == "stop"))
        for (code, body), reply in zip(SENTENCES.items(), replies, strict=True)
    }
    assert {code: reasons for code, (_, reasons) in failed.items() if reasons} == {}


@pytest.mark.parametrize(
    "text", ["Ääkkösiä ja ÖLJYÄ.", "ภาษาไทยไม่มีช่องว่าง", "தமிழ் எழுத்து", "ہے، نہیں؟", "emoji 🎣 and 日本語"]
)
def test_the_tokenizer_gives_every_text_back(text):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(hf_local.STARTER_DIR)

    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_same_seed_composes_the_same_pairs_evenly_over_languages_and_subjects():
    topics = composing.topics()

    pairs = composing.compose(topics, 240, seed=1)

    assert pairs == composing.compose(topics, 240, seed=1)
    assert pairs != composing.compose(topics, 240, seed=2)
    counts: dict[tuple[str, str], int] = {}
    for pair in pairs:
        counts[pair.language, pair.subject] = counts.get((pair.language, pair.subject), 0) + 1
    assert len(counts) == 120
    assert set(counts.values()) == {2}
    assert all(pair.response.strip() and pair.instruction.strip() for pair in pairs)


def test_every_instruction_to_learn_passes_the_reply_checks():
    instructions = {
        wording.format(place=place)
        for wordings in composing.general_instructions().values()
        for wording in wordings
        for place in composing.PLACES.values()
    } | {instruction for topic in composing.topics() for instruction in topic.instructions}

    failed = {each: checks.check(prompts.Reply(each), "") for each in instructions}

    assert {each: reasons for each, reasons in failed.items() if reasons} == {}


def test_seeds_are_whole_and_share_no_text_with_the_demo():
    topics = composing.topics()

    assert len(topics) == 600
    assert {len(topic.sentences) for topic in topics} == {6}
    demo = [
        json.loads(line)["text"]
        for path in sorted((composing.HERE.parent / "demo" / "texts").glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert len(demo) == 120
    shared = {sentence for topic in topics for sentence in topic.sentences if any(sentence in body for body in demo)}
    assert shared == set()


def test_the_starter_model_is_made_again_from_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(making, "LESSONS", 64)
    monkeypatch.setattr(making, "VOCABULARY", 600)
    out = tmp_path / "model"
    out.mkdir()
    (out / "config.json").write_text("{}")

    made = making.make(out)

    assert made.outcome.steps == 4
    assert hf_local.load(Source(model=str(out))).context == 1024
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
    assert (out / "README.md").exists()
