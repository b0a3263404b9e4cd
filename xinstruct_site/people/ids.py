"""Random public ids: the only ones that appear in URLs, so that addresses tell nothing about numbers or order."""

import secrets

LENGTH = 12
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # no 0/o, 1/l/i: people read them out to each other


def new_public_id() -> str:
    """About 59 bits, so that a clash among a million rows is a matter of one in a million; the column is unique."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
