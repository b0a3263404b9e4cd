"""Personal data: what is found in texts of which language, what is left alone, and that what leaves is masked."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation import personal_data
from tests.factories import make_text

FOUND = [
    ("fi", "Kirjoita: matti.meikalainen+tori@posti.fi", "email", "matti.meikalainen+tori@posti.fi"),
    ("th", "ติดต่อsomchai@example-shop.co.thครับ", "email", "somchai@example-shop.co.th"),
    ("tr", "Sunucu 81.214.10.7 kapalı", "ip", "81.214.10.7"),
    ("fi", "osoitteesta 2001:4860:4860::8888 asti", "ip", "2001:4860:4860::8888"),
    ("fi", "Soita 040 123 4567 huomenna", "phone", "040 123 4567"),
    ("id", "hubungi 0812-3456-7890 segera", "phone", "0812-3456-7890"),
    ("th", "โทร 081-234-5678 ได้", "phone", "081-234-5678"),
    ("tr", "Tel: 0532 123 45 67.", "phone", "0532 123 45 67"),
    ("vi", "gọi 0912 345 678 nhé", "phone", "0912 345 678"),
    ("bn", "ফোন 01712-345678 নম্বরে", "phone", "01712-345678"),
    ("hi", "फ़ोन +91 98765 43210 पर", "phone", "+91 98765 43210"),
    ("sw", "piga 0712 345 678 sasa", "phone", "0712 345 678"),
    ("ta", "அழைக்க 098765 43210 எண்", "phone", "098765 43210"),
    ("ur", "فون 0301 2345678 پر", "phone", "0301 2345678"),
    ("fi", "hetu 131052-308T on", "national_id", "131052-308T"),
    ("tr", "TC 10000000146 no", "national_id", "10000000146"),
    ("th", "เลข 1-1017-00230-70-8 ของ", "national_id", "1-1017-00230-70-8"),
    ("fi", "Tili FI21 1234 5600 0007 85, kiitos", "account", "FI21 1234 5600 0007 85"),
    ("vi", "thẻ 4111 1111 1111 1111 của", "card", "4111 1111 1111 1111"),
    ("fi", "hetu 131052-308U on", None, None),
    ("fi", "Versio 3.11.7 ja 10.0.0.1, klo 12:30:45", None, None),
    ("fi", "ISBN 978-3-16-148410-0, 12.11.2024, 2019–2023", None, None),
    ("fi", "käyttäjä @tori sanoi", None, None),
    ("bn", "ফোন ০১৭১২-৩৪৫৬৭৮ নম্বরে", "phone", "০১৭১২-৩৪৫৬৭৮"),
    ("th", "เลข ๑-๑๐๑๗-๐๐๒๓๐-๗๐-๘ ของ", "national_id", "๑-๑๐๑๗-๐๐๒๓๐-๗๐-๘"),
    ("hi", "आधार २३४१ २३४१ २३४६ है", "national_id", "२३४१ २३४१ २३४६"),
    ("ur", "نمبر ۴۲۲۰۱-۰۳۹۷۶۴۰-۸ ہے", "national_id", "۴۲۲۰۱-۰۳۹۷۶۴۰-۸"),
    ("th", "ไอพี๘๑.๒๑๔.๑๐.๗ครับ", "ip", "๘๑.๒๑๔.๑๐.๗"),
    ("sw", "simu 0066 81 234 5678 sasa", "phone", "0066 81 234 5678"),
    ("tr", "Numara 1: 10000000146, 2: yok", "national_id", "10000000146"),
    ("tr", "ayşe.yılmaz@posta.com.tr'ye", "email", "ayşe.yılmaz@posta.com.tr"),
    ("fi", "tili FI21 1234 5600 0007 85 AVOIN", "account", "FI21 1234 5600 0007 85"),
    ("fi", "IP 8.8.4.4 vastaa", "ip", "8.8.4.4"),
    ("fi", "Python 3.11.7.2, kohta 4.2.11.3, versio 81.214.10.7", None, None),
    ("fi", "icon@2x.png, git@github.com:a/b, apu@example.com", None, None),
    ("fi", "dead::beef ja std::vector", None, None),
    ("hi", "कुल 9 994 114 108 और 95.04201292", None, None),
    ("th", "รหัส 8850474351236 และ https://x.org/?id=4111111111111111", None, None),
    ("fi", "06-10-2022–08 08 2023", None, None),
]


@pytest.mark.parametrize(("code", "body", "kind", "said"), FOUND)
def test_finds(code, body, kind, said):
    found = [(each.kind, body[each.start : each.end]) for each in personal_data.find(body, code)]

    assert found == ([(kind, said)] if kind else [])


@given(st.text(st.sampled_from("0123456789 +-.:@abFI์กค()"), max_size=60))
def test_spans_of_any_text_are_in_order_apart_and_within_it(body):
    found = personal_data.find(body, "fi")

    assert all(0 <= each.start < each.end <= len(body) for each in found)
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))


def test_masking_replaces_spans_and_nothing_else():
    body = "a@b.fi, 040 123 4567!"

    assert personal_data.mask(body, personal_data.find(body, "fi")) == "name@example.org, [phone number]!"


def test_what_is_made_of_a_text_is_masked_where_people_edited_it_and_where_its_source_marked_it(finnish):
    text = make_text(finnish, "Kauppias Liisa Virtanen vastaa: liisa@posti.fi.", pii_spans=[[9, 23, "source"]])

    clean = personal_data.masked_in_all(
        {"response": "Liisa Virtanen, 040 123 4567", "instruction": "Write to liisa@posti.fi."}, text, "fi"
    )

    assert clean == {"response": "[personal data], [phone number]", "instruction": "Write to name@example.org."}
