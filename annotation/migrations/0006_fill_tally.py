"""Counts what there is already."""

from django.conf import settings
from django.db import migrations

FILL = """
    INSERT INTO annotation_tally (language_id, person_id, day, number)
    SELECT item.language_id, review.reviewer_id, (review.submitted_at AT TIME ZONE %s)::date AS day, count(*)
      FROM annotation_review AS review JOIN annotation_item AS item ON item.id = review.item_id
     WHERE review.withdrawn_at IS NULL GROUP BY 1, 2, 3
    UNION ALL
    SELECT item.language_id, NULL, (pair.created_at AT TIME ZONE %s)::date AS day, count(*)
      FROM annotation_pair AS pair JOIN annotation_item AS item ON item.id = pair.item_id
     WHERE pair.is_current AND pair.state = 'accepted' GROUP BY 1, 3
"""


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0005_tally'),
    ]

    operations = [
        migrations.RunSQL([(FILL, [settings.TIME_ZONE] * 2)], migrations.RunSQL.noop),
    ]
