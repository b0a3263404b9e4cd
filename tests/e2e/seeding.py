"""Fills a running system with items and people at once, without any model: what reviewing starts from.

Runs as a process of its own with the system's environment, since its settings are not those of the tests.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.e2e.conftest import System

ROOT = Path(__file__).resolve().parent.parent.parent
PASSWORD = "seven green kites over the river"
DRAFTS = (
    "Describe what the author remembers of this, and what it smelled and sounded like.",
    "Write a short piece for a local paper about a tradition in your region, with names of places.",
    "How is this done step by step, and why does everybody do it a little differently?",
)


def seed(system: "System", languages: dict[str, dict[str, int]], people: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Make languages with items and people with roles; what is there already stays, items are added.

    Args:
        languages: by code: items (0), overlap (1), quorum (1), drafts for each text (3), practice items (0),
            drafted (0): texts of a run and a round of half of them, as the machine half leaves them behind; held (0)
            and disputed (0): so many of the items are accepted with a cultural concern, or not agreed upon.
        people: by e-mail address: languages, and role (annotator), which may be maintainer without languages.
    Returns:
        For each person the session key that a browser signs in with.
    """
    env = system.env | {"DJANGO_SETTINGS_MODULE": "xinstruct_site.settings"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.seeding"], cwd=ROOT, env=env,
        input=json.dumps([languages, people]), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    sessions: dict[str, str] = json.loads(done.stdout)
    return sessions


def fill(languages: dict[str, dict[str, int]], people: dict[str, dict[str, Any]]) -> dict[str, str]:
    from django.test import Client

    from tests.factories import make_language
    from xinstruct_site.people.agreements import accept, current_agreement
    from xinstruct_site.people.models import Language, Membership, Role, User

    for code, wanted in languages.items():
        language = make_language(code, overlap=wanted.get("overlap", 1), quorum=wanted.get("quorum", 1))
        if wanted.get("items"):
            put_before_people(language, wanted["items"], wanted.get("drafts", len(DRAFTS)))
        if wanted.get("drafted"):
            draft_and_select(language, wanted["drafted"])
        for number in range(wanted.get("practice", 0)):
            make_practice(language, number)
        review_first(language, wanted.get("held", 0), wanted.get("disputed", 0))
    sessions = {}
    for email, wanted in people.items():
        user = User.objects.filter(email=email).first() or User.objects.create_user(
            email, PASSWORD, display_name=email.partition("@")[0].title()
        )
        role = wanted.get("role", Role.ANNOTATOR)
        for found in Language.objects.filter(code__in=wanted.get("languages", [])) or [None]:
            Membership.objects.get_or_create(user=user, language=found, role=role)
        accept(user, current_agreement())
        client = Client()
        client.force_login(User.objects.get(pk=user.pk))
        sessions[email] = client.cookies["sessionid"].value
    return sessions


def make_practice(language: Any, number: int) -> None:
    from annotation import practice

    body = json.loads(corpus(language.code)[number])["text"] + "\n\n(practice)"
    explanation = "It is **specific**, and the text answers it.\n\n- It names the dish."
    sketch = practice.Sketch(
        title="Practice", body=body, instruction=DRAFTS[0], decision="accept", overall=4, explanation=explanation
    )
    practice.make_lesson(language, sketch)


def review_first(language: Any, held: int, disputed: int) -> None:
    """Two people have reviewed the first items: held for a linguist, and after them disputed ones."""
    from annotation.models import Flag, Item
    from tests.factories import accepting, decide, rejecting

    items = list(Item.objects.filter(language=language, kind="normal").order_by("pk")[: held + disputed])
    for number, item in enumerate(items):
        draft = item.candidates()[0]
        first = accepting(draft.instruction, candidate=draft, flags={Flag.CULTURAL: "?"} if number < held else {})
        second = accepting(draft.instruction, candidate=draft) if number < held else rejecting("It is another one.")
        decide(item, first, second)


def corpus(code: str) -> list[str]:
    path = ROOT / "generation" / "demo" / "texts" / f"{code}.jsonl"
    return path.read_text(encoding="utf-8").splitlines()


def put_before_people(language: Any, count: int, drafts: int) -> None:
    """A round of demo texts, numbered on where there are more items than texts."""
    from annotation import queues
    from generation.models import Candidate, CandidateState, JobState, Round, Selection, Text
    from tests.factories import make_run, make_text

    rows = [json.loads(line) for line in corpus(language.code)]
    start = Text.objects.filter(language=language).count()
    texts = []
    for number in range(start, start + count):
        row, turn = rows[number % len(rows)], number // len(rows)
        body = f"{row['text']}\n\n({turn + 1})" if turn else row["text"]
        texts.append(make_text(language, body, title=row["title"], domain="example.org", url="https://example.org/a"))
    run = make_run(language, samples=drafts, state=JobState.DONE)
    candidates = Candidate.objects.bulk_create(
        Candidate(
            text=text, run=run, sample_number=number, instruction=DRAFTS[number % len(DRAFTS)],
            raw_reply=DRAFTS[number % len(DRAFTS)], state=CandidateState.KEPT,
        )
        for text in texts
        for number in range(drafts)
    )  # fmt: skip
    ids: dict[int, list[int]] = {}
    for candidate in candidates:
        ids.setdefault(candidate.text_id, []).append(candidate.pk)
    round_ = Round.objects.create(language=language, number=language.rounds.count() + 1)
    Selection.objects.bulk_create(
        Selection(round=round_, text=text, rank=rank, cluster=rank % 7, candidate_ids=ids[text.pk])
        for rank, text in enumerate(texts, 1)
    )
    queues.open_items(round_)


def draft_and_select(language: Any, count: int) -> None:
    """Two runs on the same texts, `drafted-CODE` and `again-CODE`, with some rejected drafts, scores and a round."""
    import numpy as np

    from generation import curation
    from generation.models import Candidate, CandidateState, JobState, Score, Task
    from tests.factories import make_model_version, make_run, make_text

    rows = [json.loads(line) for line in corpus(language.code)]
    chance = np.random.default_rng(0)
    evaluator = make_model_version(task=Task.SCORE, name="evaluator")
    texts = [
        make_text(language, f"{row['text']}\n\n(drafted)", title=row["title"], domain=f"site{number % 4}.example")
        for number, row in enumerate(rows[:count])
    ]
    verbs = ("Write an article about", "Describe", "Explain how to make", "What do you know of", "List facts about")
    for name, key in (("drafted", 0), ("again", 1)):
        run = make_run(
            language, public_id=f"{name}-{language.code}", state=JobState.DONE, tokens=40 * count, seconds=2.5,
            texts_total=count + 2, texts_done=count, sampling={"temperature": 0.7},
        )  # fmt: skip
        for number, text in enumerate(texts):
            vector = np.eye(384)[number % 5] + 0.1 * chance.normal(size=384) * (number % 4 > 0)
            wording = f"{verbs[(number + key) % len(verbs)]} the {rows[number]['title']} {number}."
            is_kept = number % 7 > 0
            candidate = Candidate.objects.create(
                text=text, run=run, instruction=wording if is_kept else "This text?", raw_reply=wording,
                state=CandidateState.KEPT if is_kept else CandidateState.REJECTED,
                reasons=[] if is_kept else [["too_short", "needs_input"][number % 2]],
                embedding=(vector / np.linalg.norm(vector)).tolist(),
            )  # fmt: skip
            if is_kept and not key:
                Score.objects.create(candidate=candidate, evaluator=evaluator, raw=float(chance.normal(1, 0.6)))
    curation.select(language, target=count // 2, new_round=True, quotas=["domain:site0.example=50%"])


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(fill(*json.load(sys.stdin))))
