"""Gold: made by one click, hidden among the items that wait, told by nothing, and never released or counted."""

import re

import pytest
from django.core.cache import caches
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotation import (
    exports,
    fastpass,
    freezing,
    gold,
    jobs,
    labels,
    mixing,
    queues,
    reading,
    reviewing,
    taking_down,
    tallies,
)
from annotation.models import Decision, Flag, Gold, Item, ItemKind, ItemState, Pair, Slot
from generation.models import ModelVersion
from tests.factories import accepting, decide, make_items, make_language, make_user, rejecting
from xinstruct_site.people.models import Language, Membership, Role, User

SECRET_WORDS = "Describe the secret answer of the gold."


@pytest.fixture(params=[(1, 1), (2, 2)], ids=["1/1", "2/2"])
def language(request, db):
    overlap, quorum = request.param
    return make_language("ur", overlap=overlap, quorum=quorum, gold_share=50)


@pytest.fixture
def lead(language):
    return make_user("lead@example.org", language, role=Role.LINGUIST)


def make_gold(language, lead, *, accepts=True) -> Gold:
    [item] = make_items(language)
    say = [accepting(SECRET_WORDS) if accepts else rejecting() for _ in range(item.overlap)]
    decide(item, *say)
    return gold.make(item, lead)


def annotators(language, count=2) -> list[User]:
    return [make_user(language=language) for _ in range(count)]


@pytest.fixture
def mixed(language, lead):
    """A normal item and a copy of gold wait: (normal, copy)."""
    known = make_gold(language, lead)
    annotators(language, language.overlap)
    # An old model drafted what is gold by now.
    ModelVersion.objects.update(is_starter=True, name="an old model")
    [normal] = make_items(language)
    return normal, known.copies.get()


def test_a_decided_item_is_gold_by_one_click_and_leaves_the_accepted_pairs(client, language, lead):
    [item] = make_items(language)
    decide(item, *[accepting(overall=5) for _ in range(item.overlap)])
    before = queues.progress(lead, language).language_accepted
    client.force_login(lead)
    assert client.post(reverse("make_gold", args=["ur", item.public_id])).status_code == 302
    made = Gold.objects.get(item=item)
    assert (made.decision, made.overall_low, made.overall_high, made.made_by) == (Decision.ACCEPT, 4, 5, lead)
    assert queues.progress(lead, language).language_accepted == before - 1
    assert not Pair.objects.releasable().exists()
    assert tallies.recount() == []
    with pytest.raises(freezing.ReleaseError):
        freezing.build_release("spring", [language])
    with pytest.raises(freezing.ReleaseError):
        labels.build("ratings", [language])


def test_a_known_item_that_waits_again_moves_the_count_of_who_decides_it(language, lead):
    known = make_gold(language, lead)
    for review in known.item.reviews.all():
        taking_down.take_down_contributor(review.reviewer)
    person = annotators(language, 1)[0]
    known.item.refresh_from_db()
    assert known.item.state == ItemState.OPEN
    if known.item.overlap > 1:
        decide(known.item, accepting())
    before = queues.progress(person, language).language_accepted
    assert queues.claim_again(person, known.item)
    reviewing.submit(person, known.item, accepting())
    assert queues.progress(person, language).language_accepted == before + 1
    assert not Pair.objects.releasable().exists()
    assert tallies.recount() == []


def test_open_known_and_released_items_cannot_be_gold(language, lead):
    [item] = make_items(language)
    with pytest.raises(gold.NoGold, match="accepted and rejected"):
        gold.make(item, lead)
    decide(item, *[accepting() for _ in range(item.overlap)])
    freezing.build_release("spring", [language])
    with pytest.raises(gold.NoGold, match="never released"):
        gold.make(item, lead)
    known = make_gold(language, lead)
    with pytest.raises(gold.NoGold, match="already"):
        gold.make(known.item, lead)


def test_gold_is_mixed_in_by_its_share_and_once(language, lead):
    for accepts in (True, False, True):
        make_gold(language, lead, accepts=accepts)
    annotators(language, 8)
    Language.objects.update(gold_share=25)
    make_items(Language.objects.get(), 6)
    copies = Item.objects.filter(gold__isnull=False)
    assert copies.count() == 2  # of eight that wait
    assert mixing.mix_in(Language.objects.get()) == 0
    assert set(copies.values_list("kind", "state")) == {("gold", "open")}
    assert Slot.objects.filter(gold_text__isnull=False).count() == 2 * language.overlap
    Language.objects.update(gold_share=0)
    make_items(Language.objects.get(), 6)
    assert copies.count() == 2


def test_a_language_that_has_no_gold_gets_none(language):
    make_items(language, 5)
    assert Item.objects.count() == 5


def test_nobody_is_served_gold_whose_text_they_have_met_and_no_lead_is(language, lead, mixed):
    normal, copy = mixed
    knows = copy.gold.item.reviews.first().reviewer
    for user in (knows, lead):
        assert queues.claim_next(user, language).item == normal
        queues.skip(user, normal)
        with pytest.raises(queues.QueueEmpty):
            queues.claim_next(user, language)
        assert queues.waiting(user, language) == 0
    [new] = annotators(language, 1)
    served = {queues.claim_next(new, language).item}
    queues.skip(new, served.copy().pop())
    served.add(queues.claim_next(new, language).item)
    assert served == {normal, copy}


def test_a_copy_lies_where_its_neighbour_lies(mixed):
    normal, copy = mixed
    same = ("round_id", "created_at", "overlap", "quorum", "policy_version", "language_id")
    assert all(getattr(normal, name) == getattr(copy, name) for name in same)
    place = ("order", "priority", "expects_good", "for_linguists", "state")
    assert list(normal.slots.values_list(*place)) == list(copy.slots.values_list(*place))


TOKEN = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}"  # ids that a page makes up
    r"|[\w.-]+:[\w-]{5,}:[\w-]{20,}|\b[A-Za-z0-9]{32,}\b"  # stamps and CSRF tokens
    r'|(?<=")(choice-)?d[0-9a-f]{12}(?=")'  # what a card calls a draft
    r'|datetime="[^"]*"[^>]*>[^<]*|\d{1,2}:\d\d( [ap]\.m\.)?'
    r"|(?<=Otsikko )\d+|(?<=Teksti )\d+|(?<=number )\d+"  # what the factories number
)


def shape(queries) -> list[str]:
    values = r"NULL(?=[,)])|'[^']*'(::\w+)?|\b\d+\b|ARRAY\[[^]]*\]|\"s\d+_x\d+\""
    return [re.sub(values, "?", query["sql"]) for query in queries]


def world(look, user, item, elsewhere) -> list[tuple[str, object]]:
    """What happens where this item is what waits first, on which nothing came to stay."""
    for cache in caches.all(initialized_only=False):
        cache.clear()
    with transaction.atomic():
        Slot.objects.filter(item=item).update(order=1)
        Slot.objects.filter(item=elsewhere).update(order=2)
        told = look(User.objects.get(pk=user.pk), item)
        transaction.set_rollback(True)
    return told


def assert_worlds_are_the_same(look, user, normal, copy):
    of_normal, of_gold = world(look, user, normal, copy), world(look, user, copy, normal)
    assert len(of_normal) == len(of_gold) > 2
    for (name, told), (_name, told_of_gold) in zip(of_normal, of_gold, strict=True):
        assert told == told_of_gold, name


@pytest.mark.parametrize(
    ("language", "place", "sends"),
    [((1, 1), "first", accepting), ((2, 2), "first", rejecting), ((2, 2), "last", accepting)],
    indirect=["language"],
)
def test_nothing_that_a_person_can_ask_for_tells_gold_before_or_after_submitting(
    client, language, lead, mixed, sends, place
):
    """Pages, fragments, searches, counts, headers and queries, for the first and for the last reviewer of an item."""
    normal, copy = mixed
    user, *others = annotators(language, language.overlap)

    def look(user, item):
        seen = []
        client.force_login(user)

        def ask(when, address, **headers):
            with CaptureQueriesContext(connection) as asked:
                answer = client.get(address, headers=headers)
            own = re.compile("|".join(map(re.escape, (item.public_id, item.text.public_id))))
            body = TOKEN.sub("?", own.sub("?", answer.content.decode()))
            assert SECRET_WORDS not in body
            seen.append((f"{address} {when}", (answer.status_code, sorted(answer.headers), answer.headers.get("ETag"))))
            seen.append((f"{address} {when}: body", body))
            seen.append((f"{address} {when}: queries", shape(asked.captured_queries)))

        code, at = language.code, item.public_id
        if place == "last":
            for other in others:
                queues.claim_again(other, item)
                reviewing.submit(other, item, sends())
        ask("before", "/")
        assert queues.claim_next(user, language).item == item
        pages = [
            "/", f"/review/{code}/{at}/", f"/review/{code}/{at}/similar/", f"/languages/{code}/", f"/items/{at}/",
            f"/items/?language={code}", f"/items/?language={code}&state=open", f"/items/?language={code}&q={at}",
            f"/mine/{code}/", f"/mine/{code}/?q=Describe", f"/mine/{code}/unsent/", f"/mine/{code}/skipped/",
            f"/languages/{code}/gold/", f"/languages/{code}/policy/",
        ]  # fmt: skip
        for page in pages:
            ask("at work", page)
        ask("at work", f"/review/{code}/", **{"HX-Request": "true"})
        reviewing.autosave(user, item, version=0, data={"instruction": "Half."})
        ask("with unsent work", f"/mine/{code}/unsent/")
        review = reviewing.submit(user, item, sends()).review
        for page in pages:
            ask("after", page)
        reviewing.withdraw(user, review)
        for page in pages:
            ask("after undoing", page)
        queues.skip(user, item)
        ask("after skipping", f"/mine/{code}/skipped/")
        return seen

    assert_worlds_are_the_same(look, user, normal, copy)


def test_the_whole_card_of_a_copy_is_that_of_a_normal_item_but_for_their_words(client, language, lead, mixed):
    """The text's own page and licence aside, nothing but words differs: no number, no model, no badge of a model."""
    normal, copy = mixed
    [user] = annotators(language, 1)
    client.force_login(user)

    def look(_user, item):
        queues.claim_again(user, item)
        card = client.get(f"/review/{language.code}/{item.public_id}/").content.decode()
        for draft in item.candidates():
            card = card.replace(draft.instruction, "An instruction.").replace(reading.draft_key(item, draft.pk), "key")
            assert f'"{draft.pk}"' not in card
        for word, said in ((item.public_id, "id"), (item.text.title, "A title"), (item.text.body.strip(), "A body.")):
            card = card.replace(word, said)
        card = re.sub(r'(?<=value=")[^"]{36,}(?=")|(?<=X-CSRFToken": ")[^"]+|nonce="[^"]*"', "?", card)
        return [("badge", "starter model" in card), ("status", item.state), ("card", TOKEN.sub("?", card))]

    assert_worlds_are_the_same(look, user, normal, copy)


def test_claim_and_submit_make_the_same_queries_for_gold_and_for_what_is_not(language, lead, mixed):
    people = annotators(language, language.overlap)

    def look(_user, item):
        said = []
        for user in people:
            user.current_memberships()
            with CaptureQueriesContext(connection) as claimed:
                assert queues.claim_next(user, language).item == item
            with CaptureQueriesContext(connection) as submitted:
                reviewing.submit(user, Item.objects.select_related("text", "language").get(pk=item.pk), accepting())
            said += [("claim", shape(claimed.captured_queries)), ("submit", shape(submitted.captured_queries))]
            said.append(("number", (len(claimed), len(submitted))))
        item.refresh_from_db()
        assert item.state == ItemState.ACCEPTED
        return said

    assert_worlds_are_the_same(look, people[0], *mixed)


def test_the_count_goes_on_for_who_decides_gold_and_for_nobody_else(language, lead, mixed):
    _normal, copy = mixed
    people = annotators(language, copy.overlap)
    [stranger] = annotators(language, 1)
    before = queues.progress(stranger, language).language_accepted
    for user in people:
        queues.claim_again(user, copy)
        last = reviewing.submit(user, copy, accepting()).review
    copy.refresh_from_db()
    assert copy.state == ItemState.ACCEPTED
    assert queues.progress(people[-1], language).language_accepted == before + 1
    assert queues.progress(stranger, language).language_accepted == before
    assert queues.progress(lead, language).language_accepted == before
    assert tallies.recount() == []
    reviewing.withdraw(people[-1], last)
    assert queues.progress(people[-1], language).language_accepted == before


def test_gold_is_in_no_release_no_export_no_fast_pass_and_no_ratings(language, lead, mixed, tmp_path):
    normal, copy = mixed
    for item in mixed:
        decide(item, *[accepting() for _ in range(item.overlap)])
    release = freezing.build_release("spring", [language])
    assert [row.item_public_id for row in release.rows.all()] == [normal.public_id]
    ratings = labels.build("ratings", [language])
    assert [row.row["item"] for row in ratings.rows.all()] == [normal.public_id]
    exports.export_release(release, "csv", tmp_path)
    told = "".join(path.read_text() for path in tmp_path.rglob("*") if path.suffix in {".csv", ".json", ".md"})
    assert normal.public_id in told
    assert copy.public_id not in told
    assert copy.gold.item.public_id not in told
    assert fastpass.next_instruction(lead, language) is None


def test_what_people_say_on_gold_is_right_by_decision_and_range(language, lead):
    known = make_gold(language, lead)  # accepted with 4, so 3 to 5
    refused = make_gold(language, lead, accepts=False)
    annotators(language, 4)
    make_items(language, 4)
    people = annotators(language, 3)
    for user, copy, sent in (
        (people[0], known.copies.first(), accepting(overall=5)),
        (people[1], refused.copies.first(), rejecting()),
        (people[2], refused.copies.last(), accepting()),
    ):
        queues.claim_again(user, copy)
        reviewing.submit(user, copy, sent)
    found = {user: [answer.is_right for answer in said] for user, said in gold.answers(language).items()}
    assert [found[user.pk] for user in people] == [[True], [True], [False]]


def test_retired_gold_is_served_to_nobody_who_has_not_begun(language, lead, mixed):
    _normal, copy = mixed
    assert gold.retire(copy.gold, lead)
    assert not gold.retire(copy.gold, lead)
    copy.refresh_from_db()
    assert copy.state == ItemState.WITHDRAWN
    assert mixing.mix_in(language) == 0
    assert Item.objects.get(pk=copy.gold.item_id).kind == ItemKind.GOLD


def test_gold_that_nobody_is_left_for_is_no_part_of_the_share(language, lead):
    first = make_gold(language, lead)
    [user] = annotators(language, 1)
    make_items(language, 1)
    [copy] = first.copies.all()
    queues.claim_again(user, copy)
    reviewing.submit(user, copy, accepting())
    for person in User.objects.filter(memberships__role=Role.ANNOTATOR).exclude(pk=user.pk):
        person.memberships.update(role=Role.LINGUIST)
    assert mixing.mix_in(language) == 0  # one known answer, which the one who is left knows
    second = make_gold(language, lead)
    User.objects.filter(reviews__item=second.item).update(is_active=False)
    mixing.mix_in(language)
    assert second.copies.filter(state=ItemState.OPEN).count() == 1


def test_people_who_join_later_get_gold_without_a_new_round(language, lead):
    make_gold(language, lead)
    User.objects.filter(memberships__role=Role.ANNOTATOR).update(is_active=False)
    make_items(language, 4)
    copies = Item.objects.filter(gold__isnull=False)
    assert not copies.exists()
    annotators(language, language.overlap)
    jobs.ring_again()
    assert copies.count() == 1
    jobs.ring_again()
    assert copies.count() == 1


def test_paused_people_and_leads_are_no_people_to_serve_it_to(language, lead):
    make_gold(language, lead)
    Membership.objects.filter(role=Role.ANNOTATOR).update(paused_at=timezone.now())
    make_items(language, 4)
    assert not Item.objects.filter(gold__isnull=False).exists()


def test_items_for_linguists_ask_for_no_gold(lead, language):
    make_gold(language, lead)
    annotators(language, 4)
    Language.objects.update(linguists_only=True)
    make_items(Language.objects.get(), 4)
    assert not Item.objects.filter(gold__isnull=False).exists()
    Language.objects.update(linguists_only=False)
    make_items(Language.objects.get(), 1)
    assert Item.objects.filter(gold__isnull=False).count() == 1  # of two that annotators wait for, not of five


def test_less_gold_takes_away_what_nobody_has_begun_on(client, language, lead):
    for _ in range(3):
        make_gold(language, lead)
    [user, *_others] = annotators(language, 4)
    make_items(language, 3)
    copies = Item.objects.filter(gold__isnull=False)
    begun = copies.order_by("pk").first()
    queues.claim_again(user, begun)
    assert copies.filter(state=ItemState.OPEN).count() == 3
    client.force_login(lead)
    client.post(reverse("gold", args=["ur"]), {"gold_share": "0", "entry_mark": "85"})
    assert list(copies.filter(state=ItemState.OPEN)) == [begun]
    assert not Slot.objects.filter(item__in=copies.exclude(pk=begun.pk)).exclude(state="closed").exists()


def test_an_item_that_a_linguist_has_not_passed_is_no_gold(language, lead):
    [held] = make_items(language)
    decide(held, *[accepting(flags={Flag.CULTURAL: ""}) for _ in range(held.overlap)])
    with pytest.raises(gold.NoGold, match="has not passed its pair"):
        gold.make(held, lead)


def test_what_is_said_on_a_wrong_or_a_retired_answer_judges_nobody(client, language, lead):
    wrong, worn = make_gold(language, lead), make_gold(language, lead)
    user, late = annotators(language, 2)
    make_items(language, 3)
    for known in (wrong, worn):
        copy = known.copies.first()
        queues.claim_again(user, copy)
        queues.claim_again(late, copy)
        reviewing.submit(user, copy, rejecting())
    assert len(gold.rights(language)[user.pk]) == 2

    client.force_login(lead)
    client.post(reverse("retire_gold", args=["ur", wrong.item.public_id]), {"wrong": "1"})
    client.post(reverse("retire_gold", args=["ur", worn.item.public_id]))
    assert len(gold.rights(language)[user.pk]) == len(gold.answers(language)[user.pk]) == 1
    reviewing.submit(late, worn.copies.first(), rejecting())  # held it before
    assert late.pk not in gold.rights(language)
