"""Every setting of the console, read from the environment. README lists them."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from console.start.secret_key import encryption_keys_in
from core.clock import SERVICE_ZONE

BASE_DIR = Path(__file__).resolve().parent.parent
_DATABASES_KNOWN = {"django.db.backends.sqlite3", "django.db.backends.postgresql"}


def _flag(name: str) -> bool:
    return os.environ.get(name, "").lower() in {"1", "true", "yes", "on"}


def _words(name: str) -> list[str]:
    return [word.strip() for word in os.environ.get(name, "").split(",") if word.strip()]


def _number(name: str, default: int) -> int:
    value = os.environ.get(name) or str(default)
    if not value.isdecimal():
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.")
    return int(value)


def _secret(name: str) -> str:
    """A secret from NAME, or from the file that NAME_FILE names. Raises without repeating what it holds."""
    file = os.environ.get(f"{name}_FILE", "")
    if not file:
        return os.environ.get(name, "").strip()
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {file}") from error


def _secret_key() -> str:
    key = os.environ.get("SECRET_KEY", "")
    if not key and not DEMO:
        raise ImproperlyConfigured("Set SECRET_KEY to a long random text (or DEMO=1 for a demo on this machine).")
    return key or "demo-only-key-which-make-run-replaces-by-one-of-its-own-0123456789"


def _allowed_hosts() -> list[str]:
    hosts = _words("ALLOWED_HOSTS")
    if not hosts and not DEMO:
        raise ImproperlyConfigured("Set ALLOWED_HOSTS to the names this console is reached by, separated by commas.")
    return hosts or ["localhost", "127.0.0.1", "[::1]"]


def _database_of(url: str) -> dict[str, Any]:
    """The database a DATABASE_URL names. Raises without repeating the address, which may hold a password."""
    try:
        database = dict(dj_database_url.parse(url))
    except ValueError:
        database = {}
    if database.get("ENGINE") not in _DATABASES_KNOWN or database.get("NAME") in {"", ":memory:"}:
        raise ImproperlyConfigured(
            "DATABASE_URL must read sqlite:///path or postgres://user:password@host:port/name; "
            "what is special in an address, such as @ or # in a password, is written as %40 or %23."
        )
    return database


# --- Where it runs -----------------------------------------------------------------------------

DEMO = _flag("DEMO")
DEBUG = _flag("DEBUG") and not DEMO
SECRET_KEY = _secret_key()
ALLOWED_HOSTS = _allowed_hosts()
VAR_DIR = Path(os.environ.get("VAR_DIR") or BASE_DIR / "var").resolve()
VAR_DIR.mkdir(parents=True, exist_ok=True)
PORT = _number("PORT", 8000)
BASE_URL = os.environ.get("BASE_URL", f"http://localhost:{PORT}" if DEMO else f"https://{ALLOWED_HOSTS[0]}")
CSRF_TRUSTED_ORIGINS = _words("CSRF_TRUSTED_ORIGINS")
CSRF_FAILURE_VIEW = "console.errors.csrf_failure"

# --- What a request may hold ---------------------------------------------------------------------

# In bytes. The largest form without its files is Apply: 30,000 characters of domains and 64 KiB of CSR, some 360 KiB
# as browsers write them; Upload takes 256 KiB of certificates and key.
DATA_UPLOAD_MAX_MEMORY_SIZE = 512 * 1024
# With its files: the bank's answer has at most 1,000,000 bytes. Twice that, so that a file which is somewhat too large
# is answered beside its field. Files of this size stay in memory: a private key is never written to disk.
LARGEST_REQUEST = FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
# An account's permissions and groups, or the hundred requests that are approved together.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 500
DATA_UPLOAD_MAX_NUMBER_FILES = 4

# --- The database ------------------------------------------------------------------------------

DATABASE_URL = os.environ.get("DATABASE_URL") or f"sqlite:///{quote(str(VAR_DIR / 'console.sqlite3'))}"
DATABASES = {"default": _database_of(DATABASE_URL)}

_database = DATABASES["default"]
if _database["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE is the lock on SQLite: select_for_update is silently nothing there.
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; PRAGMA recursive_triggers=ON;"
        ),
    }
    _database["CONN_MAX_AGE"] = None
    # A file, not memory: races between threads are real only on a file.
    _database["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}
elif _database["ENGINE"] == "django.db.backends.postgresql":
    # After a restart of the database the pool still holds dead connections.
    _database["CONN_HEALTH_CHECKS"] = True
    _database["OPTIONS"] = {**_database.get("OPTIONS", {}), "pool": {"min_size": 1, "max_size": 8, "timeout": 10}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Applications ------------------------------------------------------------------------------

INSTALLED_APPS = [
    "core",
    "payments",
    "certificates",
    "refunds",
    "console",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "console.desk.DeskConfig",
    "django_fsm",
    "django_htmx",
    "csp",
    "allauth",
    "allauth.account",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "console.middleware.HealthMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "console.middleware.LargestRequestMiddleware",
    "console.middleware.NoNulMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "console.middleware.HtmxAnswersMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "console.middleware.ReaderMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "console.sign_in.devices.KnownDeviceMiddleware",
]

ROOT_URLCONF = "console.urls"
WSGI_APPLICATION = "console.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["core.templatetags.console_format"],
        },
    }
]

# --- What the floors ask of those above them ---------------------------------------------------

# Called inside the caller's transaction; their errors propagate. `core.hooks` checks that each resolves.
PAYOUT_SETTLING = "refunds.services.lock_for_payout"
PAYOUT_SETTLED = "refunds.services.payout_settled"
PAYOUT_IMPOSSIBLE = "refunds.services.fail_refund_of"
# Refunds that a channel made by itself: what they close, and which request they may be the payout of.
REFUND_FOUND = "certificates.services.refund_found"
REFUND_CANDIDATES = "refunds.services.candidates_of"
REFUND_CONFIRMED = "refunds.services.confirm_channel_refund"
CERTIFICATE_CHANGED = "refunds.services.certificate_changed"
# The names of the policies that an imported order may have been made under.
ORDER_POLICIES = "refunds.policy.known_policies"
# What revoking or deleting a certificate means for its refund.
REFUND_PROSPECTS = "refunds.prospects.prospects_of"

JOB_HANDLERS = {
    "send_mail": "core.mail.send_notice",
    "order_reset_link": "console.sign_in.resets.order_link",
    "pay_payout": "payments.services.pay_payout",
    "take_notification": "payments.services.take_notification",
    "advance_enrollment": "certificates.services.advance_enrollment",
    "look_for_proof": "certificates.services.look_for_proof",
    "notice_revocations": "certificates.services.watching.notice_revocations",
}

# Who takes on what the worker has given up, by the kind of its job; the desk shows all of it.
JOB_GIVEN_UP = {"pay_payout": "payments.services.hand_over"}

# The part of an instance id between `cas-` and its 12 characters.
INSTANCE_REGION = os.environ.get("INSTANCE_REGION", "sg")

# --- Certificate authorities -------------------------------------------------------------------

# Fernet keys, the newest first: see `core.encryption`. The demo keeps one of its own in VAR_DIR.
KEY_ENCRYPTION_KEYS = _words("KEY_ENCRYPTION_KEYS") or (encryption_keys_in(VAR_DIR) if DEMO else [])
# Plain http, as authorities publish: what is fetched there is signed.
CA_URL = os.environ.get("CA_URL") or BASE_URL.replace("https://", "http://", 1)
CA_NAME = os.environ.get("CA_NAME") or "SSL Certificates Console"
ACME_DIRECTORY = os.environ.get("ACME_DIRECTORY", "")
ACME_CONTACT = os.environ.get("ACME_CONTACT", "")
# A PEM file of the roots that the directory's own https is trusted by, where it is none of the public ones.
ACME_TRUST = os.environ.get("ACME_TRUST", "")
# Address or address:port of the resolvers that verification asks; those of this machine where empty.
DNS_SERVERS = _words("DNS_SERVERS")
# For tests and the demo on loopback only: where a domain's file is fetched from, and at which addresses.
VERIFICATION_PORT = _number("VERIFICATION_PORT", 80)
VERIFICATION_ALLOWS_PRIVATE = _flag("VERIFICATION_ALLOWS_PRIVATE")
# In the demo nobody owns a domain: names under this one count as published by the demo itself.
VERIFICATION_OWN_SUFFIX = "test" if DEMO else ""

# --- Payment channels --------------------------------------------------------------------------

# A channel without its secrets is not connected: its payouts wait, and say so. `payments.channels` reads these.
STRIPE_API_KEY = _secret("STRIPE_API_KEY")
STRIPE_WEBHOOK_SECRET = _secret("STRIPE_WEBHOOK_SECRET")
STRIPE_URL = os.environ.get("STRIPE_URL") or "https://api.stripe.com"
ALIPAY_APP_ID = os.environ.get("ALIPAY_APP_ID", "")
# PEM or bare base64: the application's own key, and Alipay's, by which its answers are checked.
ALIPAY_PRIVATE_KEY = _secret("ALIPAY_PRIVATE_KEY")
ALIPAY_PUBLIC_KEY = _secret("ALIPAY_PUBLIC_KEY")
ALIPAY_URL = os.environ.get("ALIPAY_URL") or "https://openapi.alipay.com/gateway.do"
# Seconds until a channel that does not answer counts as silent. Two calls must fit into a job's lease of 60.
CHANNEL_TIMEOUT = _number("CHANNEL_TIMEOUT", 20)
if not 1 <= CHANNEL_TIMEOUT <= 25:
    raise ImproperlyConfigured("CHANNEL_TIMEOUT must be 1 to 25 seconds.")

# --- People ------------------------------------------------------------------------------------

AUTH_USER_MODEL = "core.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "overview"
ACCOUNT_ADAPTER = "console.adapters.AccountAdapter"
# As allauth's own, with what every form of the console does to a text that is typed or pasted.
ACCOUNT_FORMS = {
    "login": "console.forms.LoginForm",
    "reauthenticate": "console.forms.ReauthenticateForm",
    "change_password": "console.forms.ChangePasswordForm",
    "reset_password": "console.forms.ResetPasswordForm",
    "reset_password_from_key": "console.forms.ResetPasswordKeyForm",
}
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_USER_DISPLAY = "core.models.display_name"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
# Nobody can sign up, so there is nothing to tell a stranger whose address was typed.
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_FORMS = {
    "reset_password": "console.sign_in.forms.ResetPasswordForm",
    "change_password": "console.sign_in.forms.ChangePasswordForm",
}
# `console.sign_in.attempts` limits password guesses. allauth's limits for that would let a stranger shut out everyone
# at the same IP address. The others stop floods; each counts within a minute, since our page says "wait a minute".
ACCOUNT_RATE_LIMITS = {"login": "", "login_failed": "", "reset_password": "20/m/ip", "change_password": "20/m/user"}
ACCOUNT_PREVENT_ENUMERATION = True
# Seconds; the email says it in hours.
PASSWORD_RESET_TIMEOUT = 24 * 3600

# --- Language, time, money ---------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "templates" / "locale"]
TIME_ZONE = SERVICE_ZONE.key
USE_TZ = True

# --- Static files ------------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
_PLAIN_STATIC = "django.contrib.staticfiles.storage.StaticFilesStorage"
_HASHED_STATIC = "whitenoise.storage.CompressedManifestStaticFilesStorage"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # Hashed names need collectstatic first, which tests and DEBUG do without.
    "staticfiles": {"BACKEND": _PLAIN_STATIC if DEBUG or _flag("PLAIN_STATIC") else _HASHED_STATIC},
}
WHITENOISE_ALLOW_ALL_ORIGINS = False
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
WHITENOISE_USE_FINDERS = _flag("PLAIN_STATIC")

# --- Cache, sessions, cookies ------------------------------------------------------------------

# Sign-in limits live in the cache, so every process must see the same one.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "console_cache",
        # By default a cache drops a third of its entries beyond 300, the lowest keys first: guessers could wash their
        # counters away with made-up names. Each name costs a password check, so this many don't fit into a window.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}
# The demo speaks plain http on loopback, where some browsers drop Secure cookies.
_SECURE = not DEMO and not DEBUG
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = _SECURE
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_HSTS_SECONDS = 31_536_000 if _SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _SECURE
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^ca/"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if _flag("BEHIND_PROXY"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    # Else all readers share the proxy's address, and one who guesses passwords shuts the door for everybody.
    ALLAUTH_TRUSTED_PROXY_COUNT = 1
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}

# --- Mail --------------------------------------------------------------------------------------

DEFAULT_FROM_EMAIL = os.environ.get("DEFAULT_FROM_EMAIL", "console@localhost")
EMAIL_HOST = os.environ.get("EMAIL_HOST", "localhost")
EMAIL_PORT = _number("EMAIL_PORT", 25)
EMAIL_HOST_USER = os.environ.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = os.environ.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = _flag("EMAIL_USE_TLS")
EMAIL_TIMEOUT = 20
if DEMO:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = VAR_DIR / "mail"

# --- Logging -----------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "filters": {"hide_links": {"()": "console.logs.HideLinks"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["hide_links"]}},
    "root": {"handlers": ["stderr"], "level": os.environ.get("LOG_LEVEL", "INFO")},
    "loggers": {"django.request": {"level": "ERROR"}, "holidays": {"level": "ERROR"}},
}
