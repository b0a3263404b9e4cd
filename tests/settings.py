"""The installation's own settings, with a key, quick password hashing and plain static files."""

import os

os.environ.setdefault("XI_SECRET_KEY", "for-tests-only-" + "t" * 40)

from xinstruct_site.settings import *  # noqa: F403
from xinstruct_site.settings import STORAGES

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = STORAGES | {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
