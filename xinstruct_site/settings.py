"""Every setting of an installation. All knobs come from the environment; docs/settings.md lists them in one table."""

from typing import Any

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _
from psycopg.conninfo import conninfo_to_dict

from xinstruct_site import embedded
from xinstruct_site.env import env_bool, env_choice, env_float, env_int, env_list, env_object, env_str

BASE_DIR = embedded.BASE_DIR
DATA_DIR = embedded.data_dir()

# Debug is for people who work on the code: it is never a default.
DEBUG = env_bool("XI_DEBUG", default=False)
SECRET_KEY = env_str("XI_SECRET_KEY")
if not SECRET_KEY and (DATA_DIR / "secret_key").exists():
    SECRET_KEY = (DATA_DIR / "secret_key").read_text().strip()  # `make demo` draws one for each data folder
if not SECRET_KEY:
    if not DEBUG:
        raise ImproperlyConfigured(
            "XI_SECRET_KEY is not set. Set it to a long random value, or XI_SECRET_KEY_FILE to a file that holds one; "
            "`make demo` draws one into its data folder, and XI_DEBUG=1 does without."
        )
    SECRET_KEY = "debug-only-" + "x" * 50
ALLOWED_HOSTS = env_list("XI_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
# Addresses under which the site is reached, with scheme, where a proxy ends TLS: https://xinstruct.example.org
CSRF_TRUSTED_ORIGINS = env_list("XI_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "xinstruct_site.people",
    "generation",
    "annotation",
    "xinstruct_site",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
    "django_htmx",
    "django_rq",
    "ninja",
    "template_partials",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # Pages shrink to a third. What BREACH would need is not here: the one secret in a page, the CSRF token, is masked
    # anew for every answer, and Django adds a random number of bytes. Static files are compressed once, by WhiteNoise.
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "xinstruct_site.middleware.InterfaceLanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "xinstruct_site.middleware.HtmxResponseMiddleware",
    "xinstruct_site.middleware.NulMiddleware",
]

ROOT_URLCONF = "xinstruct_site.urls"
WSGI_APPLICATION = "xinstruct_site.wsgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
                "xinstruct_site.context.site",
            ],
            # Django 6 has partials built in: then this line and the app go.
            "builtins": [
                "template_partials.templatetags.partials",
                "django.templatetags.i18n",
                "django.templatetags.static",
            ],
        },
    }
]

# Database. The pool serves web threads; workers fork, and a forked pool would share sockets.
DATABASE_URL = env_str("DATABASE_URL") or embedded.database_url()
DB_POOL = env_bool("XI_DB_POOL", default=False)


def _database(url: str) -> dict[str, Any]:
    try:
        parts = conninfo_to_dict(url)
    except Exception as exc:
        raise ImproperlyConfigured(f"DATABASE_URL is not a PostgreSQL address: {exc}") from exc
    known = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    config: dict[str, Any] = {setting: str(parts.pop(key)) for key, setting in known.items() if parts.get(key)}
    if "NAME" not in config:
        raise ImproperlyConfigured("DATABASE_URL names no database: postgresql://user:password@host/NAME")
    options: dict[str, Any] = dict(parts) | {"server_side_binding": True}
    if DB_POOL:
        # Connections last, so PostgreSQL may keep the plans of what is asked on every page.
        options["prepare_threshold"] = 5
        options["pool"] = {"min_size": 1, "max_size": env_int("XI_DB_POOL_SIZE", 8, minimum=1), "timeout": 10}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "CONN_HEALTH_CHECKS": True,
        # A worker forks for each job, so a connection must not outlive the request or job that opened it.
        "CONN_MAX_AGE": 0,
        "OPTIONS": options,
        **config,
    }


DATABASES = {"default": _database(DATABASE_URL)}
# Pieces of pages that only a new release of the site changes; while one works on them they are drawn each time.
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "template_fragments": {
        "BACKEND": f"django.core.cache.backends.{'dummy.DummyCache' if DEBUG else 'locmem.LocMemCache'}",
        "LOCATION": "template_fragments",
        "OPTIONS": {"MAX_ENTRIES": 1000},
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Queue. PostgreSQL holds the truth; Redis only rings the bell.
REDIS_URL = env_str("REDIS_URL") or embedded.redis_url()
RQ_QUEUES = {
    name: {"URL": REDIS_URL, "SERIALIZER": "rq.serializers.JSONSerializer", "DEFAULT_TIMEOUT": seconds}
    for name, seconds in {"default": 600, "cpu": 6 * 3600, "gpu": 7 * 24 * 3600}.items()
}
RQ_SHOW_ADMIN_LINK = True

# People
AUTH_USER_MODEL = "people.User"
AUTHENTICATION_BACKENDS = [
    "xinstruct_site.people.sessions.ByPassword",
    "xinstruct_site.people.sessions.ByAddress",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "xinstruct_site.people.adapter.ClosedRegistrationAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"  # an invitation is bound to its address
ACCOUNT_LOGOUT_REDIRECT_URL = "home"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
EMAIL_BACKEND = (
    "django.core.mail.backends.smtp.EmailBackend"
    if env_str("XI_EMAIL_HOST")
    else ("django.core.mail.backends.console.EmailBackend")
)
EMAIL_HOST = env_str("XI_EMAIL_HOST")
EMAIL_PORT = env_int("XI_EMAIL_PORT", 587)
EMAIL_HOST_USER = env_str("XI_EMAIL_USER")
EMAIL_HOST_PASSWORD = env_str("XI_EMAIL_PASSWORD")
EMAIL_USE_TLS = env_bool("XI_EMAIL_TLS", default=True)
DEFAULT_FROM_EMAIL = env_str("XI_EMAIL_FROM", "xinstruct@localhost")
INVITATION_DAYS = env_int("XI_INVITATION_DAYS", 14, minimum=1)

# Interface languages: English, and the languages we start with.
LANGUAGE_CODE = "en"
LANGUAGES = [
    ("en", _("English")),
    ("fi", _("Finnish")),
    ("id", _("Indonesian")),
    ("th", _("Thai")),
    ("tr", _("Turkish")),
    ("vi", _("Vietnamese")),
    ("bn", _("Bengali")),
    ("hi", _("Hindi")),
    ("sw", _("Swahili")),
    ("ta", _("Tamil")),
    ("ur", _("Urdu")),
]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
# Of English, and of languages for which Django knows none (Urdu, Swahili).
FORMAT_MODULE_PATH = ["xinstruct_site.formats"]
DATE_FORMAT, DATETIME_FORMAT = "j F Y", "j F Y, H:i"
SHORT_DATE_FORMAT, SHORT_DATETIME_FORMAT = "j M Y", "j M Y, H:i"
USE_TZ = True
TIME_ZONE = env_str("XI_TIME_ZONE", "UTC")

# Security. With HTTPS in front, XI_HTTPS=1 turns on secure cookies, the redirect and HSTS.
HTTPS = env_bool("XI_HTTPS", default=False)
SECURE_SSL_REDIRECT = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
SESSION_ENGINE = "xinstruct_site.people.sessions"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 30 * 24 * 3600
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = env_int("XI_FORM_BYTES", 2_500_000, minimum=100_000)
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

# Static files
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "xinstruct_site.staticfiles.ModuleStorage"
    },
}

# Drafting. What make demo MODEL= and ENDPOINT= set.
BACKEND = env_choice("XI_BACKEND", "starter", ("starter", "hf", "vllm", "openai"))
MODEL = env_str("XI_MODEL")
ENDPOINT = env_str("XI_ENDPOINT")
ENDPOINT_KEY = env_str("XI_ENDPOINT_KEY", "none")
ENDPOINT_CONCURRENCY = env_int("XI_ENDPOINT_CONCURRENCY", 16, minimum=1, maximum=4096)  # questions at once
ENDPOINT_PATIENCE = env_int("XI_ENDPOINT_PATIENCE", 600, minimum=1)  # seconds without any answer
# What vLLM's LLM() is given besides, as JSON: {"tensor_parallel_size": 2}
VLLM_OPTIONS = env_object("XI_VLLM_OPTIONS")
# What a million tokens cost at the endpoint, in whatever money; budgets of runs count with it.
PRICE_READ = env_float("XI_PRICE_READ", 0.0, minimum=0.0)
PRICE_WRITTEN = env_float("XI_PRICE_WRITTEN", 0.0, minimum=0.0)
if BACKEND == "openai" and not ENDPOINT:
    raise ImproperlyConfigured("XI_BACKEND=openai needs XI_ENDPOINT, the address of an OpenAI-compatible server")
if BACKEND in {"hf", "vllm"} and not MODEL:
    raise ImproperlyConfigured(f"XI_BACKEND={BACKEND} needs XI_MODEL, a folder or a hub id")
MODELS_DIR = DATA_DIR / "models"

# Texts
TEXT_CHARS_MIN = env_int("XI_TEXT_CHARS_MIN", 200, minimum=1)
TEXT_CHARS_MAX = env_int("XI_TEXT_CHARS_MAX", 3000, minimum=2)
if TEXT_CHARS_MIN >= TEXT_CHARS_MAX:
    raise ImproperlyConfigured(f"XI_TEXT_CHARS_MIN={TEXT_CHARS_MIN} is not below XI_TEXT_CHARS_MAX={TEXT_CHARS_MAX}")
# A longer page is cut into passages of this length at most; 0 cuts none.
PASSAGE_CHARS = env_int("XI_PASSAGE_CHARS", 2000, minimum=0)
# Which texts may come in by what their record says of robots.txt: "any", all but the disallowed, or only the allowed.
ROBOTS = env_choice("XI_ROBOTS", "not-disallowed", ("any", "not-disallowed", "allowed"))
# Which licences may come in: SPDX ids, * stands for anything. A text without a licence never does.
LICENCES = env_list("XI_LICENCES", "*")
# How many processes judge the texts of an import: 1 is only its own, 0 one for each core.
IMPORT_PROCESSES = env_int("XI_IMPORT_PROCESSES", 0, minimum=0)
# What a page takes as one file of texts; larger ones come in through the command.
UPLOAD_BYTES = env_int("XI_UPLOAD_BYTES", 50 * 1024 * 1024, minimum=1000)

# Selection: from this cosine of their embeddings on, in hundredths, two instructions are nearly the same.
NEAR_DUPLICATE_PERCENT = env_int("XI_NEAR_DUPLICATE_PERCENT", 95, minimum=50, maximum=101)

# Who stands behind releases, as their documents say: a name, an address to write to, and where the data are found
PUBLISHER = env_str("XI_PUBLISHER")
PUBLISHER_CONTACT = env_str("XI_PUBLISHER_CONTACT")
PUBLISHED_AT = env_str("XI_PUBLISHED_AT")

# Review
LEASE_MINUTES = env_int("XI_LEASE_MINUTES", 30, minimum=1)
# A worker that has not been heard of for this long is taken for dead, and its claim on a run may be taken over.
HEARTBEAT_SECONDS = env_int("XI_HEARTBEAT_SECONDS", 60, minimum=5)
# How many workers may draft for one run at the same time.
CHECKPOINT_SECONDS = env_int("XI_CHECKPOINT_SECONDS", 300, minimum=1)  # of a fine-tune run
FINETUNES_PER_PERSON = env_int("XI_FINETUNES_PER_PERSON", 10, minimum=1)  # waiting or running
WORKERS_PER_RUN = env_int("XI_WORKERS_PER_RUN", 8, minimum=1)

METRICS_TOKEN = env_str("XI_METRICS_TOKEN")  # what a scraper of /metrics sends; unset, there is no such page

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {
        "handlers": ["console"],
        "level": env_choice("XI_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
    },
    "loggers": {
        "httpx": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
        "sentence_transformers": {"level": "WARNING"},
        "rq.worker": {"level": "WARNING"},
    },
}
