"""Who may do what: every address, every verb, every role, in the own language and in another one.

The addresses come from the URL patterns. A new one without a row in TABLE fails here.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from annotation import adjudicating, auditing, gold, practice, queues
from annotation.agreement import Wording
from annotation.models import Duel, Flag, Item, JudgeRun, Pair, Pause
from generation.models import (
    Evaluation,
    FineTuneRun,
    Import,
    QuestionSet,
    Round,
    SeedPair,
    Task,
    Upload,
)
from tests.factories import (
    accepting,
    decide,
    make_duel,
    make_items,
    make_language,
    make_model_version,
    make_release,
    make_run,
    make_text,
    make_user,
    rejecting,
    released,
)
from xinstruct_site.api import api
from xinstruct_site.people import guidelines, inviting, varieties
from xinstruct_site.people.models import ApiToken, Language, Role, User, VarietyKind

pytestmark = pytest.mark.django_db

# Who may, from everybody to few. Roles in another language than the address's open nothing.
ANYBODY = {"visitor", "annotator", "linguist", "maintainer", "other annotator", "other linguist", "other maintainer",
           "maintainer of all"}  # fmt: skip
SIGNED_IN = ANYBODY - {"visitor"}
MEMBERS = {"annotator", "linguist", "maintainer", "maintainer of all"}
LEADS = {"linguist", "maintainer", "maintainer of all"}
ALL_LEADS = LEADS | {"other linguist", "other maintainer"}  # pages that show each their own languages
MAINTAINERS = {"maintainer", "maintainer of all"}
ALL_MAINTAINERS = MAINTAINERS | {"other maintainer"}
OF_ALL = {"maintainer of all"}
NOBODY: set[str] = set()  # what is in the address is somebody else's own


class Row(NamedTuple):
    get: set[str] | None  # None: the verb is not known there
    post: set[str] | None = None


TABLE: dict[str, Row] = {
    "home": Row(ANYBODY),
    "items": Row(SIGNED_IN),
    "item": Row(LEADS),  # and who reviewed it
    "relabel": Row(LEADS, LEADS),
    "item_questions": Row(LEADS, LEADS),  # and who holds it, reviewed it or asked
    "questions": Row(MEMBERS),
    "language": Row(MEMBERS, MAINTAINERS),
    "agreement_of": Row(LEADS),
    "differences": Row(LEADS),
    "people": Row(LEADS, LEADS),
    "withdraw_invitation": Row(None, LEADS),
    "guidelines": Row(MEMBERS),
    "guidelines_edit": Row(LEADS, LEADS),
    "guidelines_history": Row(MEMBERS),
    "guidelines_version": Row(MEMBERS),
    "policy": Row(LEADS, LEADS),
    "gold": Row(LEADS, LEADS),
    "talk": Row(LEADS, LEADS),
    "make_gold": Row(None, LEADS),
    "retire_gold": Row(None, LEADS),
    "paused": Row(MEMBERS, MEMBERS),
    "varieties": Row(LEADS, LEADS),
    "retire_variety": Row(None, LEADS),
    "lessons": Row(LEADS, LEADS),
    "retire_lesson": Row(None, LEADS),
    "practice": Row(MEMBERS),
    "finish_practice": Row(None, MEMBERS),
    "start_practice_over": Row(None, MEMBERS),
    "practise": Row(MEMBERS, MEMBERS),
    "mine": Row(MEMBERS),
    "my_unsent": Row(MEMBERS),
    "claim_again": Row(None, NOBODY),
    "throw_away": Row(None, NOBODY),
    "my_skipped": Row(MEMBERS),
    "take_back": Row(None, NOBODY),
    "sender": Row(ANYBODY),
    "review": Row(MEMBERS),
    "undo": Row(None, NOBODY),
    "fast": Row(MEMBERS, MEMBERS),
    "review_item": Row(NOBODY, NOBODY),  # but who holds it or reviewed it
    "similar_accepted": Row(MEMBERS),
    "autosave": Row(None, NOBODY),
    "skip": Row(None, NOBODY),
    "duels": Row(ALL_LEADS),
    "duel_report": Row(LEADS),
    "close_duel": Row(None, MAINTAINERS),
    "judge_duel": Row(None, MAINTAINERS),
    "stop_judge": Row(None, MAINTAINERS),
    "continue_judge": Row(None, MAINTAINERS),
    "evaluations": Row(ALL_MAINTAINERS, ALL_MAINTAINERS),
    "question_set": Row(MAINTAINERS, MAINTAINERS),
    "stop_evaluation": Row(None, MAINTAINERS),
    "continue_evaluation": Row(None, MAINTAINERS),
    "model": Row(ALL_MAINTAINERS),
    "state_licence": Row(None, OF_ALL),
    "duel": Row(MEMBERS),
    "vote": Row(NOBODY, NOBODY),
    "skip_vote": Row(None, NOBODY),
    "undo_vote": Row(None, NOBODY),
    "audits": Row(LEADS),
    "next_audit": Row(LEADS),
    "audit_rules": Row(LEADS),
    "set_rule_aside": Row(None, LEADS),
    "audit_tags": Row(LEADS, LEADS),
    "retire_tag": Row(None, LEADS),
    "undo_audit": Row(None, LEADS),
    "disputes": Row(LEADS),
    "undo_dispute": Row(None, LEADS),
    "dispute": Row(LEADS, LEADS),
    "audit": Row(LEADS, LEADS),
    "take_down": Row(OF_ALL, OF_ALL),
    "releases": Row(ALL_MAINTAINERS, ALL_MAINTAINERS),
    "build_ratings": Row(None, ALL_MAINTAINERS),
    "release": Row(MAINTAINERS),
    "publish_release": Row(None, MAINTAINERS),
    "withdraw_release": Row(None, MAINTAINERS),
    "compare_releases": Row(MAINTAINERS),
    "download_manifest": Row(MAINTAINERS),
    "release_document": Row(MAINTAINERS),
    "download_release": Row(MAINTAINERS),
    "texts": Row(ALL_MAINTAINERS),
    "import_texts": Row(ALL_MAINTAINERS, ALL_MAINTAINERS),
    "stop_upload": Row(None, MAINTAINERS),
    "rejected_rows": Row(MAINTAINERS),
    "text": Row(MAINTAINERS),
    "runs": Row(ALL_MAINTAINERS, ALL_MAINTAINERS),
    "run": Row(MAINTAINERS),
    "stop_run": Row(None, MAINTAINERS),
    "pause_run": Row(None, MAINTAINERS),
    "resume_run": Row(None, MAINTAINERS),
    "run_rows": Row(MAINTAINERS),
    "compare_runs": Row(MAINTAINERS),
    "continue_run": Row(None, MAINTAINERS),
    "score_run": Row(None, MAINTAINERS),
    "round": Row(MAINTAINERS),
    "passed_over": Row(MAINTAINERS),
    "gates": Row(MAINTAINERS),
    "judge_gate": Row(None, MAINTAINERS),
    "gate_samples": Row(MAINTAINERS),
    "seeds": Row(ALL_LEADS),
    "seeds_of": Row(LEADS),
    "next_seed": Row(LEADS),
    "seed": Row(LEADS, LEADS),
    "evaluators": Row(ALL_MAINTAINERS),
    "evaluator": Row(ALL_MAINTAINERS),
    "measure": Row(None, ALL_MAINTAINERS),
    "finetunes": Row(ALL_MAINTAINERS, ALL_MAINTAINERS),
    "finetune": Row(MAINTAINERS),
    "cancel_finetune": Row(None, MAINTAINERS),
    "move_finetune": Row(None, MAINTAINERS),
    "continue_finetune": Row(None, MAINTAINERS),
    "profile": Row(SIGNED_IN, SIGNED_IN),
    "demographics": Row(None, SIGNED_IN),
    "newer_agreement": Row(OF_ALL, OF_ALL),
    "agreement": Row(SIGNED_IN, SIGNED_IN),
    "tokens": Row(SIGNED_IN, SIGNED_IN),
    "revoke_token": Row(None, set()),  # whose it is: test_api.py
    "interface_language": Row(None, ANYBODY),
    "invitation": Row(ANYBODY, ANYBODY),
    "sign_in_link": Row(ANYBODY, ANYBODY),
    "healthz": Row(ANYBODY),
    "readyz": Row(ANYBODY),
    "metrics": Row(None),  # asks for a token of its own: test_metrics.py
}
QUERIES = {"compare_runs": "?with=beside"}
NOT_OURS = ("admin", "django.", "allauth", "django_rq")  # libraries guard their own pages, and test that themselves


def patterns(resolver: URLResolver) -> Iterator[URLPattern]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            if pattern.namespace != api.urls_namespace:  # it has a table of its own: test_api.py
                yield from patterns(pattern)
        elif not (pattern.callback.__module__ or "").startswith(NOT_OURS):
            yield pattern


def our_patterns() -> dict[str, URLPattern]:
    """By name; of two addresses with one name the longer."""
    found: dict[str, URLPattern] = {}
    for pattern in patterns(get_resolver()):
        if pattern.name and (
            pattern.name not in found or len(str(pattern.pattern)) > len(str(found[pattern.name].pattern))
        ):
            found[pattern.name] = pattern
    return found


def test_every_address_has_a_row_and_every_row_an_address():
    unnamed = [str(pattern.pattern) for pattern in patterns(get_resolver()) if not pattern.name]
    assert set(our_patterns()) == set(TABLE)
    assert not unnamed


@pytest.fixture
def world(settings) -> dict[str, dict[str, Any]]:
    """Something of Finnish behind every address: what its parameters are, by the name of the address."""
    finnish = make_language("fi", overlap=2, quorum=2)
    items = make_items(finnish, 6)
    decide(items[0], accepting(flags={Flag.CULTURAL: ""}), accepting())
    decide(items[1], accepting(flags={Flag.CULTURAL: ""}), accepting())
    decide(items[2], accepting(), rejecting())
    decide(items[3], accepting(), rejecting())
    [stranger] = [make_user(language=finnish)]
    linguist = make_user(language=finnish, role=Role.LINGUIST)
    audited = Pair.objects.get(item=items[1])
    done = auditing.audit(linguist, audited, auditing.Submission(uuid.uuid4(), "pass", rule="A rule."))
    said = adjudicating.Submission(uuid.uuid4(), "accept", 4, "", Wording("So."))
    decided = adjudicating.adjudicate(linguist, items[3], said)
    queues.claim_next(stranger, finnish)
    known = gold.make(items[3], linguist)
    lesson = practice.make_lesson(
        finnish,
        practice.Sketch(title="t", body="b" * 50, instruction="i", decision="accept", overall=4, explanation="e"),
    )
    invitation, token = inviting.invite("new@example.org", Role.ANNOTATOR, finnish)
    release, before = make_release(released("fi")), make_release(released("fi"), name="winter")
    model = make_model_version(task=Task.SCORE, prompt_version="rubric-1")
    run, _beside = make_run(finnish), make_run(finnish, public_id="beside")
    finetune = FineTuneRun.objects.create(key="k", task=Task.DRAFT, base_model=make_model_version(), seeds=["fi"])
    finetune.releases.set([release])
    upload = Upload.objects.create(
        language=finnish, source="s", licence_id="CC0-1.0", file_name="f", stored_as="s", size=1
    )
    seed = SeedPair.objects.create(
        language=finnish, instruction="i", response="r", sha256="0" * 64, licence_id="CC0-1.0"
    )
    guidelines.publish(finnish, body="Be kind.", author=linguist, based_on=finnish.guidelines_version)
    duel: Duel = make_duel(finnish, 2)
    questions = QuestionSet.objects.get()
    judge = JudgeRun.objects.create(duel=duel, judge=model, prompt_version="1")
    asked = Evaluation.objects.create(question_set=questions, model_version=duel.base)
    text = make_text(finnish)
    batch = Import.objects.first()
    assert batch
    (Path(settings.DATA_DIR) / "rejected.jsonl").write_text("{}\n", encoding="utf-8")
    Import.objects.update(rejected_path="rejected.jsonl")
    people = {"one": stranger.public_id, "other": linguist.public_id}
    by_name: dict[str, dict[str, Any]] = {
        "item": {"public_id": items[2].public_id},
        "differences": people,
        "withdraw_invitation": {"pk": invitation.pk},
        "guidelines_version": {"number": finnish.guidelines_version},
        "retire_lesson": {"public_id": lesson.item.public_id},
        "talk": {"pk": Pause.objects.create(user=stranger, language=finnish, reason="gold", right=0, answers=3).pk},
        "relabel": {"public_id": items[0].public_id},
        "retire_variety": {"pk": varieties.add(finnish, VarietyKind.VARIETY, "Savo").pk},
        "make_gold": {"public_id": items[0].public_id},
        "retire_gold": {"public_id": known.item.public_id},
        "practise": {"public_id": lesson.item.public_id},
        "undo": {"review_id": items[0].reviews.first().pk},
        "duel_report": {"public_id": duel.public_id},
        "close_duel": {"public_id": duel.public_id},
        "judge_duel": {"public_id": duel.public_id},
        "stop_judge": {"public_id": duel.public_id, "run_id": judge.public_id},
        "continue_judge": {"public_id": duel.public_id, "run_id": judge.public_id},
        "question_set": {"public_id": questions.public_id},
        "stop_evaluation": {"public_id": questions.public_id, "row_id": asked.public_id},
        "continue_evaluation": {"public_id": questions.public_id, "row_id": asked.public_id},
        "model": {"public_id": model.public_id},
        "state_licence": {"public_id": model.public_id},
        "vote": {"public_id": "nobodys"},
        "skip_vote": {"public_id": "nobodys"},
        "undo_vote": {"public_id": "nobodys"},
        "set_rule_aside": {"audit_id": done.pk},
        "retire_tag": {"pk": finnish.audit_tags.create(name="own").pk},
        "undo_audit": {"audit_id": done.pk},
        "undo_dispute": {"adjudication_id": decided.pk},
        "dispute": {"public_id": items[2].public_id},
        "audit": {"public_id": items[0].public_id},
        "compare_releases": {"public_id": release.public_id, "other_id": before.public_id},
        "release_document": {"public_id": release.public_id, "name": "README.md"},
        "download_release": {"public_id": release.public_id, "format": "alpaca"},
        "stop_upload": {"public_id": upload.public_id},
        "rejected_rows": {"public_id": batch.public_id},
        "text": {"public_id": text.public_id},
        "run_rows": {"public_id": run.public_id, "at": "kept"},
        "round": {"number": Round.objects.get().number},
        "passed_over": {"number": Round.objects.get().number},
        "gate_samples": {"gate": "reply", "reason": "too_short"},
        "seed": {"pk": seed.pk},
        "invitation": {"token": token},
        "revoke_token": {"pk": ApiToken.issue(stranger, "theirs", may_write=False)[0].pk},
        "sign_in_link": {"public_id": stranger.public_id, "token": "nothing"},
    }
    free = {"public_id": items[5].public_id, "code": "fi"}
    by_prefix = {"runs/": run, "releases/": release, "evaluators/": model, "finetunes/": finetune}
    kwargs = {}
    for name, pattern in our_patterns().items():
        wanted = pattern.pattern.converters.keys()
        own = next((row for prefix, row in by_prefix.items() if str(pattern.pattern).startswith(prefix)), None)
        known = free | ({"public_id": own.public_id} if own else {}) | by_name.get(name, {})
        kwargs[name] = {parameter: known[parameter] for parameter in wanted}
    return kwargs


def people_of(role: str) -> User | AnonymousUser:
    finnish, hindi = Language.objects.get(code="fi"), make_language("hi")
    if role == "visitor":
        return AnonymousUser()
    if role == "maintainer of all":
        return make_user(role=Role.MAINTAINER)
    return make_user(language=hindi if role.startswith("other") else finnish, role=role.removeprefix("other "))


def outcome(client: Client, verb: str, address: str) -> str:
    """allowed, refused, or that the verb is not known; what it does is undone."""
    with transaction.atomic():
        answer = getattr(client, verb)(address)
        transaction.set_rollback(True)
    if answer.status_code == 405:
        return "no such verb"
    asked_to_sign_in = answer.status_code == 302 and answer.url.startswith(reverse("account_login"))
    return "refused" if answer.status_code in {403, 404} or asked_to_sign_in else "allowed"


@pytest.mark.parametrize("role", sorted(ANYBODY))
def test_table_holds_for(role, world, queue_is_empty):
    user = people_of(role)
    client = Client()
    wrong = []
    for name, row in TABLE.items():
        address = reverse(name, kwargs=world[name]) + QUERIES.get(name, "")
        for verb, allowed in (("get", row.get), ("post", row.post)):
            if isinstance(user, User):
                client.force_login(user)  # some pages sign out
            found = outcome(client, verb, address)
            expected = "no such verb" if allowed is None else "allowed" if role in allowed else "refused"
            if found != expected and not (expected == "no such verb" and found == "refused"):
                wrong.append(f"{verb} {address} ({name}): {found}, not {expected}")
        for verb in ("put", "patch", "delete") if role == "maintainer of all" else ():
            if outcome(client, verb, address) == "allowed":
                wrong.append(f"{verb} {address} ({name}): allowed")
    assert not wrong, "\n".join(wrong)


def test_public_ids_of_another_language_open_nothing_under_the_own_code(world):
    """A person of Hindi puts ids of Finnish rows behind /hi/."""
    make_language("hi")
    client = Client()
    client.force_login(make_user(language=Language.objects.get(code="hi"), role=Role.MAINTAINER))
    opened = []
    for name, kwargs in world.items():
        if "code" not in kwargs or len(kwargs) == 1 or name in {"gate_samples", "guidelines_version", "differences"}:
            continue
        address = reverse(name, kwargs=kwargs | {"code": "hi"})
        for verb in ("get", "post"):
            if outcome(client, verb, address) == "allowed":
                opened.append(f"{verb} {address} ({name})")
    assert not opened, "\n".join(opened)
    assert Item.objects.filter(language__code="fi", gold=None).count() == 7  # with the practice item
