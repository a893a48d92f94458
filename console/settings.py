"""Every setting of the console, read from the environment. README lists them."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from certificates.resolving import nameserver_of
from console import env
from console.start.secret_key import encryption_keys_in
from core.clock import SERVICE_ZONE
from core.encryption import ciphers

BASE_DIR = Path(__file__).resolve().parent.parent
_DATABASES_KNOWN = {"django.db.backends.sqlite3", "django.db.backends.postgresql"}


def _secret_key() -> str:
    key = env.verbatim("SECRET_KEY")
    if not key and not DEMO:
        raise ImproperlyConfigured("Set SECRET_KEY to a long random text (or DEMO=1 for a demo on this machine).")
    return key or "demo-only-key-which-make-run-replaces-by-one-of-its-own-0123456789"


def _allowed_hosts() -> list[str]:
    hosts = env.hosts("ALLOWED_HOSTS")
    if not hosts and not DEMO:
        raise ImproperlyConfigured("Set ALLOWED_HOSTS to the names this console is reached by, separated by commas.")
    return hosts or ["localhost", "127.0.0.1", "[::1]"]


def _base_url() -> str:
    """Emails carry links that act for their readers, so outside the demo these links are https."""
    if DEMO:
        return env.web_address("BASE_URL", f"http://localhost:{PORT}", has_path=False)
    first = ALLOWED_HOSTS[0]
    if not env.text("BASE_URL") and first.startswith(("*", ".")):
        raise ImproperlyConfigured(
            f"Set BASE_URL to what links in emails begin with, such as https://console.example.com: ALLOWED_HOSTS "
            f"begins with {first!r}, which isn't one name."
        )
    schemes = ("https", "http") if DEBUG else ("https",)
    return env.web_address("BASE_URL", f"https://{first}", schemes=schemes, has_path=False)


def _encryption_keys() -> list[str]:
    keys = env.words("KEY_ENCRYPTION_KEYS") or (encryption_keys_in(VAR_DIR) if DEMO else [])
    # Refuses malformed ones. Without any, the checks of Django ask for one.
    ciphers(keys)
    return keys


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

DEMO = env.flag("DEMO")
DEBUG = env.flag("DEBUG") and not DEMO
SECRET_KEY = _secret_key()
ALLOWED_HOSTS = _allowed_hosts()
# The demo keeps its secrets and its email there.
VAR_DIR = env.folder("VAR_DIR", BASE_DIR / "var", is_written=DEMO)
PORT = env.number("PORT", 8000, lowest=1, highest=65_535)
WEB_WORKERS = env.number("WEB_WORKERS", 2, lowest=1, highest=256)
BASE_URL = _base_url()
CSRF_TRUSTED_ORIGINS = env.web_origins("CSRF_TRUSTED_ORIGINS")
CSRF_FAILURE_VIEW = "console.errors.csrf_failure"

# --- What a request may hold ---------------------------------------------------------------------

# In bytes. The largest form without its files is Apply: 30,000 characters of domains and 64 KiB of CSR, some 360 KiB
# as browsers write them; Upload takes 256 KiB of certificates and key.
DATA_UPLOAD_MAX_MEMORY_SIZE = 512 * 1024
# With its files: the bank's answer has at most 1,000,000 bytes. Several times that, so that a file that is too large
# is answered beside its field. Files of this size stay in memory: a private key is never written to disk.
LARGEST_REQUEST = FILE_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
# An account's permissions and groups, or the hundred requests that are approved together.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 500
DATA_UPLOAD_MAX_NUMBER_FILES = 4

# --- The database ------------------------------------------------------------------------------

DATABASE_URL = env.text("DATABASE_URL") or f"sqlite:///{quote(str(VAR_DIR / 'console.sqlite3'))}"
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
# The refund policy that new purchases are made under; an order keeps its own.
REFUND_POLICY = env.text("REFUND_POLICY", "intl-2021")
# The names of the policies that an imported order may have been made under.
ORDER_POLICIES = "refunds.rules.policies.known_policies"
# What revoking or deleting a certificate means for its refund.
REFUND_PROSPECTS = "refunds.for_certificates.prospects_of"
REVOCATION_ALLOWANCE = "refunds.for_certificates.revocation_allowance_of"

JOB_HANDLERS = {
    "send_mail": "core.mail.send_notice",
    "order_reset_link": "console.sign_in.resets.order_link",
    "pay_payout": "payments.services.pay_payout",
    "take_notification": "payments.services.take_notification",
    "advance_enrollment": "certificates.services.advance_enrollment",
    "look_for_proof": "certificates.services.look_for_proof",
    "notice_revocations": "certificates.services.watching.notice_revocations",
    "try_policy": "refunds.services.trials.try_policy",
}

# Who takes on what the worker has given up, by the kind of its job; the desk shows all of it.
JOB_GIVEN_UP = {"pay_payout": "payments.services.hand_over"}

# The part of an instance id between `cas-` and its 12 characters.
INSTANCE_REGION = env.matching(
    "INSTANCE_REGION", "sg", r"[a-z0-9-]{1,20}", "must be 1 to 20 small letters, digits or hyphens"
)

# --- Certificate authorities -------------------------------------------------------------------

# Fernet keys, the newest first: see `core.encryption`. The demo keeps one of its own in VAR_DIR.
KEY_ENCRYPTION_KEYS = _encryption_keys()
# Plain http, as authorities publish: what is fetched there is signed.
CA_URL = env.web_address("CA_URL", BASE_URL.replace("https://", "http://", 1))
CA_NAME = env.text("CA_NAME", "SSL Certificates Console")
ACME_DIRECTORY = env.web_address("ACME_DIRECTORY")
ACME_CONTACT = env.email_address("ACME_CONTACT")
# A PEM file of the roots that the directory's own https is trusted by, where it is none of the public ones.
ACME_TRUST = env.file("ACME_TRUST")
# Address or address:port of the resolvers that verification asks; those of this machine where empty.
DNS_SERVERS = env.each("DNS_SERVERS", nameserver_of, "must list addresses such as 192.0.2.53 or 192.0.2.53:5353")
# For tests and the demo on loopback only: where a domain's file is fetched from, and at which addresses.
VERIFICATION_PORT = env.number("VERIFICATION_PORT", 80, lowest=1, highest=65_535)
VERIFICATION_ALLOWS_PRIVATE = env.flag("VERIFICATION_ALLOWS_PRIVATE")
# In the demo nobody owns a domain: names under this one count as published by the demo itself.
VERIFICATION_OWN_SUFFIX = "test" if DEMO else ""

# --- Payment channels --------------------------------------------------------------------------

# A channel without its secrets is not connected: its payouts wait, and say so. `payments.channels` reads these.
STRIPE_API_KEY = env.secret("STRIPE_API_KEY")
STRIPE_WEBHOOK_SECRET = env.secret("STRIPE_WEBHOOK_SECRET")
STRIPE_URL = env.web_address("STRIPE_URL", "https://api.stripe.com", has_path=False)
ALIPAY_APP_ID = env.text("ALIPAY_APP_ID")
# PEM or bare base64: the application's own key, and Alipay's, by which its answers are checked.
ALIPAY_PRIVATE_KEY = env.secret("ALIPAY_PRIVATE_KEY")
ALIPAY_PUBLIC_KEY = env.secret("ALIPAY_PUBLIC_KEY")
ALIPAY_URL = env.web_address("ALIPAY_URL", "https://openapi.alipay.com/gateway.do")
# Seconds until a channel that does not answer counts as silent. Two calls must fit into a job's lease of 60.
CHANNEL_TIMEOUT = env.number("CHANNEL_TIMEOUT", 20, lowest=1, highest=25)

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
    "login": "console.sign_in.forms.LoginForm",
    "reauthenticate": "console.sign_in.forms.ReauthenticateForm",
    "change_password": "console.sign_in.forms.ChangePasswordForm",
    "reset_password": "console.sign_in.forms.ResetPasswordForm",
    "reset_password_from_key": "console.sign_in.forms.ResetPasswordKeyForm",
}
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_USER_DISPLAY = "core.models.display_name"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
# Nobody can sign up, so there is nothing to tell a stranger whose address was typed.
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
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
    "staticfiles": {"BACKEND": _PLAIN_STATIC if DEBUG or env.flag("PLAIN_STATIC") else _HASHED_STATIC},
}
WHITENOISE_ALLOW_ALL_ORIGINS = False
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
WHITENOISE_USE_FINDERS = env.flag("PLAIN_STATIC")

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
if env.flag("BEHIND_PROXY"):
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

DEFAULT_FROM_EMAIL = env.sender("DEFAULT_FROM_EMAIL", "console@localhost" if DEMO else "", is_public=not DEMO)
EMAIL_HOST = env.host("EMAIL_HOST", "localhost")
EMAIL_PORT = env.number("EMAIL_PORT", 25, lowest=1, highest=65_535)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.verbatim("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS")
EMAIL_TIMEOUT = 20
if DEMO:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = VAR_DIR / "mail"

# --- Logging -----------------------------------------------------------------------------------

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "filters": {"hide_links": {"()": "console.logs.HideLinks"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["hide_links"]}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {"django.request": {"level": "ERROR"}, "holidays": {"level": "ERROR"}},
}
