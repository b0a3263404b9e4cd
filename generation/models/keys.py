"""What rows of every kind share: public ids, and the width of an embedding."""

from django.db import models

from xinstruct_site.people.ids import LENGTH, new_public_id

EMBEDDING_DIMENSIONS = 384  # all-MiniLM-L6-v2


def public_id_field() -> models.CharField:
    return models.CharField(max_length=LENGTH, unique=True, default=new_public_id, editable=False)
