"""20,000 texts from the demo corpus, half of them with a planted fault: what the gates and the near-duplicates find.

Personal data is planted and looked for by itself.
"""

import pytest

from bench import personal_data, planted_faults
from bench.planting import FAULTS, recombine


@pytest.mark.django_db
def test_planted_faults_are_found_and_clean_texts_pass():
    demo = planted_faults.read_texts(sorted(planted_faults.DEMO.glob("*.jsonl")))
    rows = planted_faults.planted_rows(recombine(demo, 10_000, seed=1), seed=1, one_each=True)
    assert len(rows) == 20_000

    findings = planted_faults.run(rows)

    recall = {fault: own / count for fault, (count, own, _) in planted_faults.recall_by_fault(findings).items()}
    assert recall.keys() == FAULTS.keys() - {"half alike"}
    assert min(recall.values()) >= 0.95, recall
    assert recall["NUL"] == recall["lone surrogate"] == 1
    precision = {gate: right / away for gate, (away, right) in planted_faults.precision_by_gate(findings).items()}
    assert min(precision.values()) >= 0.95, precision
    merged, below = planted_faults.merged_below(findings, 0.5)
    assert below > 500
    assert merged <= 0.01 * below
    for lang, (clean, away) in planted_faults.wrongly_rejected(findings).items():
        assert away <= 0.02 * clean, lang


def test_planted_personal_data_is_found_in_every_language_and_what_looks_like_it_is_left_alone():
    demo = planted_faults.read_texts(sorted(planted_faults.DEMO.glob("*.jsonl")))

    found = personal_data.measure(personal_data.plants(recombine(demo, 200, seed=1), seed=1))

    for fault, lang in found.rows:
        if fault in personal_data.LOOKALIKES:
            continue
        assert personal_data.share(found.right, found.rows, fault) >= 0.95, fault
        assert personal_data.share(found.right, found.rows, fault, lang) >= 0.9, (fault, lang)
    for kind in {kind for kind, _ in found.said}:
        assert personal_data.share(found.said_rightly, found.said, kind) >= 0.95, kind
