"""All settings of the shop, with their environment variables, defaults and bounds.

Nothing else reads the environment. Unsafe or missing values stop the process with a message that says what to set.
docs/settings.md is generated from the texts below each setting.
"""

import os
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from corsheaders.defaults import default_headers
from django.core.exceptions import ImproperlyConfigured

from commerce.api import schema_settings
from commerce.back_office import appearance
from commerce.core.environment import Environment, file_variable
from commerce.core.kafka_security import kafka_security
from commerce.core.process import process_name
from commerce.core.redis_urls import beside, read_address
from commerce.embedded.environment import embedded_environment

BASE_DIR = Path(__file__).resolve().parent.parent

# While `make run` is up, every manage.py command finds its servers without further settings.
for _name, _value in embedded_environment().items():
    if file_variable(_name) not in os.environ:
        os.environ.setdefault(_name, _value)


env = Environment()


def required(name: str, what: str) -> str:
    value: str = env.str(name, default="")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. Set it to {what}, or use `make run`, which sets it.")
    return value


# --- Security ---------------------------------------------------------------------------------------------------------

SECRET_KEY = required("SECRET_KEY", "at least 50 random characters")
"""Signs sessions, and tokens unless JWT_SIGNING_KEY is set. At least 50 random characters."""
SECRET_KEY_FALLBACKS = env.secrets("SECRET_KEY_FALLBACKS")
"""Previous keys, comma-separated, whose signatures are still accepted (docs/keys.md)."""
DEBUG = env.bool("DEBUG", default=False)
"""Django's debug mode. Never true in production."""
HTTPS = env.bool("HTTPS", default=True)
"""Whether clients use https: enables secure cookies, HSTS and the redirect from http."""

JWT_SIGNING_KEY = env.str("JWT_SIGNING_KEY", default="")
"""Signs tokens; empty: SECRET_KEY. A separate key can be rotated without ending back-office sessions."""
JWT_SIGNING_KEY_FALLBACKS = env.secrets("JWT_SIGNING_KEY_FALLBACKS")
"""Other keys accepted for tokens, comma-separated: the previous key, or the next one during a rotation."""
if not JWT_SIGNING_KEY:
    JWT_SIGNING_KEY = SECRET_KEY
    JWT_SIGNING_KEY_FALLBACKS += SECRET_KEY_FALLBACKS
_PLACEHOLDERS = ("replace-me", "change", "django-insecure", "secret", "your-", "example")


def refuse_weak(name: str, value: str, *, least: int) -> None:
    """Refuse a guessable secret: too short, with few different characters, or copied from an example."""
    if len(value) < least or len(set(value)) < 10 or value.lower().startswith(_PLACEHOLDERS):
        raise ImproperlyConfigured(f"{name} is too weak. Set it to at least 50 random characters.")


def networks(name: str, texts: list[str]) -> list[IPv4Network | IPv6Network]:
    """Networks such as 10.0.0.0/8."""
    try:
        return [ip_network(text.strip()) for text in texts]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} has an invalid network. A valid one is 10.20.0.0/16.") from error


if not DEBUG:
    refuse_weak("SECRET_KEY", SECRET_KEY, least=32)
    # A key shorter than the hash weakens HS256 (RFC 7518, 3.2).
    refuse_weak("JWT_SIGNING_KEY", JWT_SIGNING_KEY, least=32)
    # A previous key is as powerful as the current one.
    for _key in SECRET_KEY_FALLBACKS:
        refuse_weak("SECRET_KEY_FALLBACKS", _key, least=32)
    for _key in JWT_SIGNING_KEY_FALLBACKS:
        refuse_weak("JWT_SIGNING_KEY_FALLBACKS", _key, least=32)

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
"""The shop's host names, comma-separated."""
if not DEBUG and "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured(
        "ALLOWED_HOSTS is `*`, so any Host header would be accepted. Set it to the shop's own host names."
    )
CSRF_FAILURE_VIEW = "commerce.staff_access.kept_forms.csrf_failure"
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
"""Origins, comma-separated, whose forms the back-office accepts besides its own."""
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^metrics$", r"^internal/token$"]
BEHIND_PROXY = env.bool("BEHIND_PROXY", default=False)
"""Whether `X-Forwarded-Proto` is trusted."""
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SECURE_HSTS_SECONDS = env.integer("HSTS_SECONDS", 31_536_000, least=0) if HTTPS else 0
"""`max-age` of the header Strict-Transport-Security; 0 without HTTPS."""
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = env.integer("SESSION_HOURS", 12, least=1) * 3600
"""The maximum lifetime of a back-office session."""
SESSION_IDLE_MINUTES = env.integer("SESSION_IDLE_MINUTES", 60, least=1)
"""How long a back-office session lasts without a request."""
OTP_TOTP_ISSUER = "Commerce back-office"
"""The name that authenticator apps show for the second factor."""
X_FRAME_OPTIONS = "DENY"
NUM_PROXIES = env.integer("NUM_PROXIES", 0, least=0)
"""The number of own proxies in front of the shop: that many entries of `X-Forwarded-For` are trusted."""
if BEHIND_PROXY and NUM_PROXIES == 0:
    # Otherwise all customers would share the login limits of the proxy's address.
    raise ImproperlyConfigured("BEHIND_PROXY is true and NUM_PROXIES is 0. Set it to the number of your own proxies.")

# --- Application ------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    # Before Django's admin, whose templates it overrides.
    "commerce.back_office",
    "commerce.staff_pages",
    # Without the theme's own configuration, which creates the site in every process.
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "commerce",
    "commerce.audit",
    "commerce.invariants",
    "commerce.archive",
    "commerce.outbox",
    "commerce.webhooks",
    "commerce.idempotency",
    "commerce.mail",
    "commerce.notes",
    "balances",
    "products",
    "coupons",
    "reservations",
    "orders",
    "stats",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "commerce.back_office.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "corsheaders",
]

MIDDLEWARE = [
    "commerce.server.request_context.RequestContextMiddleware",
    "commerce.server.ending.CloseConnectionsWhileStopping",
    "commerce.server.bodies.BodyMiddleware",
    # Handles API requests; the middleware below is for the back-office only.
    "commerce.server.dispatch.ApiMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "commerce.staff_access.middleware.Uploads",
    "commerce.staff_access.middleware.NormalText",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "commerce.staff_access.session_ends.SessionEnds",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "commerce.staff_access.middleware.ContentSecurity",
    "commerce.staff_access.middleware.Refusals",
]
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
"""Origins, comma-separated, whose pages may call the API from a browser, such as `https://shop.example`."""
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = (*default_headers, "idempotency-key", "if-none-match", "x-request-id")
CORS_EXPOSE_HEADERS = (
    *("etag", "idempotent-replayed", "original-request-id", "ratelimit", "ratelimit-policy", "retry-after"),
    "x-request-id",
)
if CORS_ALLOWED_ORIGINS:
    # Before the API middleware: a preflight has no token.
    MIDDLEWARE.insert(1, "corsheaders.middleware.CorsMiddleware")
BACK_OFFICE_PATH = "/admin"
"""The path prefix of Django's admin pages; all other paths belong to the API."""
LOGIN_REDIRECT_URL = "admin:index"

ROOT_URLCONF = "commerce.urls"
WSGI_APPLICATION = "commerce.wsgi.application"
APPEND_SLASH = False
AUTH_USER_MODEL = "balances.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
EVENT_ROUTES = "commerce.event_routes.ROUTES"
EVENT_SINKS = "commerce.event_routes.SINKS"
TEST_RUNNER = "django.test.runner.DiscoverRunner"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

UNFOLD = appearance.UNFOLD
"""The look of the back-office."""

PASSWORD_HASHERS = ["commerce.core.passwords.PBKDF2InThread"]
AUTHENTICATION_BACKENDS = ["commerce.api.login.LoginBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

STATIC_URL = "/static/"
STATIC_ROOT = env.path("STATIC_ROOT", default=str(BASE_DIR / ".local" / "static"))
"""The folder of collected static files; default: `.local/static`."""
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}

DATA_UPLOAD_MAX_MEMORY_SIZE = env.integer("MAX_BODY_BYTES", 262_144, least=1_024)
"""The largest request body. A hundred order items need 8 KiB."""

# --- Language and time ------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ko", "한국어")]
LOCALE_PATHS = [BASE_DIR / "commerce" / "locale"]
USE_I18N = True
FORMAT_MODULE_PATH = "commerce.back_office.formats"
USE_TZ = True
TIME_ZONE = env.str("TIME_ZONE", default="Asia/Seoul")
"""The time zone of the shop's days."""

# --- Overload ---------------------------------------------------------------------------------------------------------

WEB_CONNECTIONS = env.integer("WEB_CONNECTIONS", 8, least=1)
"""Per web process: database connections shared by its requests; writes have a few more."""
WEB_WAITING = env.integer("WEB_WAITING", 1_024, least=0)
"""Per web process: requests that may wait for a connection; others are answered 503 at once."""
WEB_WAIT_SECONDS = env.number("WEB_WAIT_SECONDS", 4.0, least=0)
"""How long a request waits for a connection before it is answered 503."""

WEB_THREADS = env.integer("WEB_THREADS", 16, least=1)
"""Per web process: back-office pages, files and probes answered concurrently. The API needs no threads."""
WEB_REQUEST_SECONDS = env.number("WEB_REQUEST_SECONDS", 10.0, above=0)
"""How long a request may take to arrive; slower clients lose their connection."""

WEB_ENDING_SECONDS = env.number("WEB_ENDING_SECONDS", 0.0, least=0)
"""How long a web server that receives SIGTERM keeps serving, with 503 at `/readyz` and closing connections. Behind a
load balancer: longer than it takes to notice."""
WEB_ENDING_FILE = env.str("WEB_ENDING_FILE", default="")
"""This file exists once the server is stopping. Set by `commerce.serve`."""

# --- PostgreSQL -------------------------------------------------------------------------------------------------------

_database_url = required("DATABASE_URL", "postgresql://user:password@host:5432/name")
"""PostgreSQL 15 to 18 (docs/servers.md)."""
if not _database_url.startswith(("postgresql://", "postgres://")):
    # Checked here: the library would accept it, or print it with its password.
    raise ImproperlyConfigured("DATABASE_URL is not of the form postgresql://user:password@host:5432/name.")
DATABASE_POOLED = env.bool("DATABASE_POOLED", default=False)
"""Whether DATABASE_URL leads to a transaction pooler such as PgBouncer (docs/servers.md). Sessions then keep no state,
and the role needs the time limits below."""
DATABASE_LOCK_TIMEOUT_MS = env.integer("DATABASE_LOCK_TIMEOUT_MS", 2_000, least=0)
"""How long a statement may wait for a lock."""
DATABASE_STATEMENT_TIMEOUT_MS = env.integer("DATABASE_STATEMENT_TIMEOUT_MS", 5_000, least=0)
"""How long a statement may run."""
DATABASE_IDLE_TIMEOUT_MS = env.integer("DATABASE_IDLE_TIMEOUT_MS", 5_000, least=0)
"""How long a transaction may be idle."""

_statement_seconds = DATABASE_STATEMENT_TIMEOUT_MS / 1_000
DATABASE_ANSWER_SECONDS = env.number("DATABASE_ANSWER_SECONDS", _statement_seconds + 2.0, above=_statement_seconds)
"""How long a request waits for a response of PostgreSQL before it drops its connection; default: the statement timeout
and 2 s. It must exceed the statement timeout, so that only a frozen server, or a COMMIT that waits for a standby, takes
so long."""


def _postgresql(url: str, **defaults: str) -> dict[str, Any]:
    """Django's database settings for this URL. `defaults`: options that the URL may override."""
    database: dict[str, Any] = env.db_url_config(url)
    given: dict[str, Any] = database.get("OPTIONS", {})
    if "," in str(given.get("host") or database.get("HOST", "")):
        # Only one of several servers accepts writes. Without this, libpq would use the first that responds.
        defaults = {"target_session_attrs": "read-write", **defaults}
    options: dict[str, Any] = {
        # The name of this process in pg_stat_activity.
        "application_name": f"commerce-{process_name()}",
        "connect_timeout": 2,
        # Lets the operating system detect a server that has disappeared.
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        # Statements of a hot path are planned once per connection, not once per call.
        "server_side_binding": True,
        "prepare_threshold": None if DATABASE_POOLED else 3,
        **defaults,
        **given,
    }
    if not DATABASE_POOLED:
        # Options of the URL come last and take precedence.
        options["options"] = (
            f"-c lock_timeout={DATABASE_LOCK_TIMEOUT_MS} -c statement_timeout={DATABASE_STATEMENT_TIMEOUT_MS}"
            f" -c idle_in_transaction_session_timeout={DATABASE_IDLE_TIMEOUT_MS} {options.get('options', '')}"
        ).rstrip()
    return {
        **database,
        "ENGINE": "commerce.core.postgresql",
        # Connections are kept for the life of their thread; the health check costs no round trip (see the engine).
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": DATABASE_POOLED,
        "OPTIONS": options,
    }


DATABASES = {"default": _postgresql(_database_url)}

DATABASE_REPLICA_URL = env.str("DATABASE_REPLICA_URL", default="")
"""A streaming replica for lists, histories and exports (docs/servers.md#reads-from-a-replica). Empty: all reads use the
primary."""
DATABASE_REPLICA_SECONDS = env.number("DATABASE_REPLICA_SECONDS", 5.0, above=0)
"""The maximum lag of the replica; while it is further behind, reads use the primary."""
if DATABASE_REPLICA_URL:
    if not DATABASE_REPLICA_URL.startswith(("postgresql://", "postgres://")):
        raise ImproperlyConfigured("DATABASE_REPLICA_URL is not of the form postgresql://user:password@host:5432/name.")
    DATABASES["replica"] = _postgresql(DATABASE_REPLICA_URL, target_session_attrs="standby")
    DATABASES["replica"]["TEST"] = {"MIRROR": "default"}
    DATABASE_ROUTERS = ["commerce.core.replica.Router"]
    MIDDLEWARE.append("commerce.staff_access.middleware.ReadsOwnWrites")

# --- Redis ------------------------------------------------------------------------------------------------------------

REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
"""The cache: `redis://`, `rediss://`, `unix://` or `redis+sentinel://` (docs/servers.md)."""
LOCK_REDIS_URL = env.str("LOCK_REDIS_URL", default="") or beside("REDIS_URL", REDIS_URL)
"""Locks, in a database without eviction (`noeviction`). Empty: database 1 on the server of REDIS_URL."""

REDIS_TIMEOUT_SECONDS = env.number("REDIS_TIMEOUT_SECONDS", 0.5, above=0)
"""Time limit of a call to Redis."""


def _redis(name: str, url: str) -> dict[str, Any]:
    address = read_address(name, url)
    return {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": address.location,
        "OPTIONS": {
            **address.options(),
            "SOCKET_CONNECT_TIMEOUT": REDIS_TIMEOUT_SECONDS,
            "SOCKET_TIMEOUT": REDIS_TIMEOUT_SECONDS,
            # With redis-py's default retries a command could run twice and a request hang.
            "CONNECTION_POOL_KWARGS": {"retry": None, "retry_on_error": [], "max_connections": 500},
        },
    }


CACHES = {"default": _redis("REDIS_URL", REDIS_URL), "locks": _redis("LOCK_REDIS_URL", LOCK_REDIS_URL)}

LOCK_TTL_SECONDS = env.number("LOCK_TTL_SECONDS", 5.0, above=0)
"""Lifetime of a lock, for locks of dead processes. Correctness does not depend on it."""
LOCK_WAIT_SECONDS = env.number("LOCK_WAIT_SECONDS", 3.0, above=0)
"""How long a write waits for its locks and rows."""
TRANSACTION_SECONDS = env.number("TRANSACTION_SECONDS", 6.0, above=0)
"""Time limit of a shared transaction. Longer than the statement timeout, so that PostgreSQL first cancels a slow
statement and the other writes run without it."""
REDIS_PAUSE_SECONDS = env.number("REDIS_PAUSE_SECONDS", 2.0, least=0)
"""How long Redis is not called after a failure, so that an outage does not cost each request a timeout."""

# --- Kafka and the data platform --------------------------------------------------------------------------------------

KAFKA_BOOTSTRAP_SERVERS = env.str("KAFKA_BOOTSTRAP_SERVERS", default="127.0.0.1:9092")
"""Addresses of brokers, comma-separated (docs/kafka.md)."""
KAFKA_SECURITY_PROTOCOL = env.str("KAFKA_SECURITY_PROTOCOL", default="PLAINTEXT")
"""`SASL_SSL` for TLS with a password (docs/kafka.md#tls-and-passwords)."""
KAFKA_SASL_MECHANISM = env.str("KAFKA_SASL_MECHANISM", default="SCRAM-SHA-512")
"""How the password is sent."""
KAFKA_SASL_USERNAME = env.str("KAFKA_SASL_USERNAME", default="")
"""The user name."""
KAFKA_SASL_PASSWORD = env.str("KAFKA_SASL_PASSWORD", default="")
"""The password."""
KAFKA_SSL_CA_LOCATION = env.str("KAFKA_SSL_CA_LOCATION", default="")
"""File with the CA certificates of the brokers."""
KAFKA_SSL_CERTIFICATE_LOCATION = env.str("KAFKA_SSL_CERTIFICATE_LOCATION", default="")
"""File with the client certificate."""
KAFKA_SSL_KEY_LOCATION = env.str("KAFKA_SSL_KEY_LOCATION", default="")
"""File with the key of the client certificate."""
KAFKA_SSL_KEY_PASSWORD = env.str("KAFKA_SSL_KEY_PASSWORD", default="")
"""The password of that key."""
KAFKA_SECURITY = kafka_security(
    protocol=KAFKA_SECURITY_PROTOCOL,
    mechanism=KAFKA_SASL_MECHANISM,
    username=KAFKA_SASL_USERNAME,
    password=KAFKA_SASL_PASSWORD,
    ca_location=KAFKA_SSL_CA_LOCATION,
    certificate_location=KAFKA_SSL_CERTIFICATE_LOCATION,
    key_location=KAFKA_SSL_KEY_LOCATION,
    key_password=KAFKA_SSL_KEY_PASSWORD,
)
"""The security configuration of all Kafka clients."""
KAFKA_TOPIC_PREFIX = env.str("KAFKA_TOPIC_PREFIX", default="")
"""Prefix of all topic names."""
KAFKA_CONSUMER_GROUP = env.str("KAFKA_CONSUMER_GROUP", default="product-stats")
"""Group of the statistics consumers."""
KAFKA_TOPIC_PARTITIONS = env.integer("KAFKA_TOPIC_PARTITIONS", 6, least=1)
"""Partitions of topics made by `create_topics`."""
KAFKA_TOPIC_RETENTION_HOURS = env.integer("KAFKA_TOPIC_RETENTION_HOURS", 168, least=1)
"""Retention of topics made by `create_topics`."""
KAFKA_TOPIC_REPLICATION = env.integer("KAFKA_TOPIC_REPLICATION", 1, least=1)
"""Replication of topics made by `create_topics`; 3 in production."""
EVENT_SOURCE = env.str("EVENT_SOURCE", default="/commerce")
"""The `source` of all events."""
OUTBOX_DISPATCH_IN_WEB = env.bool("OUTBOX_DISPATCH_IN_WEB", default=False)
"""Whether web processes deliver messages as well as `relay_outbox`."""
OUTBOX_BATCH_SIZE = env.integer("OUTBOX_BATCH_SIZE", 500, least=1)
"""The maximum number of messages in a batch."""
OUTBOX_POLL_SECONDS = env.number("OUTBOX_POLL_SECONDS", 0.1, above=0)
"""Interval of queries for new messages."""
OUTBOX_MAX_ATTEMPTS = env.integer("OUTBOX_MAX_ATTEMPTS", 12, least=1)
"""Failed attempts after which a message is parked."""
OUTBOX_RETENTION_HOURS = env.integer("OUTBOX_RETENTION_HOURS", 168, least=0)
"""How long sent messages and their delivery logs are kept; 0: forever."""

PROCESSED_EVENT_RETENTION_HOURS = env.integer("PROCESSED_EVENT_RETENTION_HOURS", 720, least=0)
"""How long records of counted events are kept (docs/retention.md); 0: forever."""

DATA_PLATFORM_URL = env.str("DATA_PLATFORM_URL", default="")
"""Receives completed, cancelled and refunded orders (docs/data-platform.md). Empty: no messages are written for it."""
DATA_PLATFORM_SECRET = env.str("DATA_PLATFORM_SECRET", default="")
"""Signs calls to the data platform."""
DATA_PLATFORM_SECRET_FALLBACKS = env.secrets("DATA_PLATFORM_SECRET_FALLBACKS")
"""Further secrets, comma-separated, that sign every call as well during a rotation."""
DATA_PLATFORM_DELIVERY = env.choice("DATA_PLATFORM_DELIVERY", "async", "sync")
"""`sync` sends within the request, after the commit."""
DATA_PLATFORM_TIMEOUT_SECONDS = env.number("DATA_PLATFORM_TIMEOUT_SECONDS", 3.0, above=0)
"""Time limit of one call."""
DATA_PLATFORM_BREAKER_FAILURES = env.integer("DATA_PLATFORM_BREAKER_FAILURES", 5, least=1)
"""Consecutive failures after which calls are paused."""
DATA_PLATFORM_BREAKER_SECONDS = env.number("DATA_PLATFORM_BREAKER_SECONDS", 30.0, above=0)
"""Length of the pause, after which one call probes the data platform."""

if DATA_PLATFORM_URL and not DATA_PLATFORM_SECRET:
    raise ImproperlyConfigured(
        "DATA_PLATFORM_SECRET is not set. Set it to the key that signs calls to DATA_PLATFORM_URL."
    )

if not DEBUG and DATA_PLATFORM_URL:
    refuse_weak("DATA_PLATFORM_SECRET", DATA_PLATFORM_SECRET, least=16)
    for _key in DATA_PLATFORM_SECRET_FALLBACKS:
        refuse_weak("DATA_PLATFORM_SECRET_FALLBACKS", _key, least=16)

# --- Webhooks ---------------------------------------------------------------------------------------------------------

WEBHOOK_TIMEOUT_SECONDS = env.number("WEBHOOK_TIMEOUT_SECONDS", 10.0, above=0, most=30)
"""Time limit of one call to a webhook subscriber (docs/webhooks.md)."""
WEBHOOK_RETRY_HOURS = env.number("WEBHOOK_RETRY_HOURS", 72.0, above=0, most=87_600)
"""How long an event is retried before it is parked."""
WEBHOOK_END_HOURS = env.number("WEBHOOK_END_HOURS", 120.0, above=0, most=87_600)
"""A subscription that has only failed for this long is switched off."""
WEBHOOK_PARKED_DAYS = env.integer("WEBHOOK_PARKED_DAYS", 30, least=0, most=3_650)
"""How long parked events and their delivery logs are kept; 0: forever."""
WEBHOOK_ALLOW_HTTP = env.bool("WEBHOOK_ALLOW_HTTP", default=False)
"""Whether subscriptions may have http:// URLs."""
WEBHOOK_ALLOWED_NETWORKS = networks("WEBHOOK_ALLOWED_NETWORKS", env.list("WEBHOOK_ALLOWED_NETWORKS", default=[]))
"""Private networks that subscriptions may call, such as 10.20.0.0/16. Empty: public addresses only."""
WEBHOOK_CA_FILE = env.str("WEBHOOK_CA_FILE", default="")
"""CA certificates for subscribers. Empty: the system's."""

# --- E-mail to customers ----------------------------------------------------------------------------------------------

EMAIL_HOST = env.str("EMAIL_HOST", default="")
"""The mail server for e-mails to customers (docs/email.md). Empty: no e-mails."""
EMAIL_SECURITY = env.choice("EMAIL_SECURITY", "starttls", "tls", "none")
"""`tls`: TLS from the first byte. With `starttls` and `tls` the certificate is verified."""
EMAIL_PORT = env.integer("EMAIL_PORT", 0, least=0, most=65_535) or {"tls": 465, "none": 25}.get(EMAIL_SECURITY, 587)
"""0: 587 with `starttls`, 465 with `tls`, 25 with `none`."""
EMAIL_USE_TLS = EMAIL_SECURITY == "starttls"
EMAIL_USE_SSL = EMAIL_SECURITY == "tls"
EMAIL_CA_FILE = env.str("EMAIL_CA_FILE", default="")
"""CA certificates for the mail server. Empty: the system's."""
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", default="")
"""Login at the mail server."""
EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", default="")
"""Password at the mail server."""
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="")
"""The sender of e-mails."""
EMAIL_LANGUAGE = env.choice("EMAIL_LANGUAGE", "en", "ko")
"""The language of all e-mails."""
EMAIL_SHOP_NAME = env.str("EMAIL_SHOP_NAME", default="Commerce")
"""The shop's name in e-mails."""
# A dispatcher that works for longer than 30 s without a statement loses its lock.
EMAIL_TIMEOUT = env.number("EMAIL_TIMEOUT_SECONDS", 10.0, above=0, most=30)
"""Time limit of one session with the mail server, from name resolution to the last of up to 50 e-mails."""
EMAIL_BREAKER_SECONDS = env.number("EMAIL_BREAKER_SECONDS", 30.0, above=0)
"""The pause after three consecutive failed sessions."""
COUPON_EXPIRY_NOTICE_DAYS = env.integer("COUPON_EXPIRY_NOTICE_DAYS", 3, least=0, most=365)
"""Days before its expiry at which the holder of an unused coupon is notified, once; 0: never."""

if EMAIL_HOST and "@" not in DEFAULT_FROM_EMAIL:
    raise ImproperlyConfigured("EMAIL_FROM is not set. Set it to the sender address of e-mails to customers.")
if EMAIL_HOST_PASSWORD and EMAIL_SECURITY == "none" and not DEBUG:
    raise ImproperlyConfigured("EMAIL_SECURITY is `none`: EMAIL_HOST_PASSWORD would be sent unencrypted.")

# --- The shop ---------------------------------------------------------------------------------------------------------

BALANCE_LIMIT_WON = env.integer("BALANCE_LIMIT_WON", 1_000_000_000, least=1)
"""The largest balance of an account."""
BALANCE_READ = env.choice("BALANCE_READ", "database", "cache")
"""`cache` reads balances from Redis."""
PRODUCT_LIST_CACHE_SECONDS = env.integer("PRODUCT_LIST_CACHE_SECONDS", 60, least=0)
"""Cache time of product lists; 0: no cache."""
POPULAR_CACHE_SECONDS = env.integer("POPULAR_CACHE_SECONDS", 1_800, least=0)
"""Cache time of the popular products; 0: no cache. `make run` uses 2."""
PRODUCT_STATS_MODE = env.choice("PRODUCT_STATS_MODE", "kafka", "inline")
"""`inline` counts orders without Kafka."""
IDEMPOTENCY_HOURS = env.integer("IDEMPOTENCY_HOURS", 24, least=1)
"""How long responses are kept for repeated requests."""
RESERVATION_MINUTES = env.integer("RESERVATION_MINUTES", 10, least=1, most=1_440)
"""How long stock is held for a cart."""
RESERVATION_RETENTION_HOURS = env.integer("RESERVATION_RETENTION_HOURS", 720, least=0)
"""How long ended reservations are kept before `archive` deletes them; 0: forever."""

LEDGER_RETENTION_DAYS = env.integer("LEDGER_RETENTION_DAYS", 0, least=0, most=36_500)
"""Days after which `archive` moves ledger entries to files (docs/retention.md#archiving-to-files); 0: never."""
STOCK_MOVEMENT_RETENTION_DAYS = env.integer("STOCK_MOVEMENT_RETENTION_DAYS", 0, least=0, most=36_500)
"""The same for stock movements."""
ORDER_RETENTION_DAYS = env.integer("ORDER_RETENTION_DAYS", 0, least=0, most=36_500)
"""The same for orders."""
ARCHIVE_DIR = env.str("ARCHIVE_DIR", default="")
"""The folder of archive files."""
_ARCHIVED = {
    "LEDGER_RETENTION_DAYS": LEDGER_RETENTION_DAYS,
    "STOCK_MOVEMENT_RETENTION_DAYS": STOCK_MOVEMENT_RETENTION_DAYS,
    "ORDER_RETENTION_DAYS": ORDER_RETENTION_DAYS,
}
for _name, _days in _ARCHIVED.items():
    if _days and not ARCHIVE_DIR:
        raise ImproperlyConfigured(
            f"{_name} is {_days}, but ARCHIVE_DIR is not set. Set it to a folder for archived rows."
        )
    # Stored responses and outbox messages refer to these rows.
    if _days and (not OUTBOX_RETENTION_HOURS or _days * 24 <= max(OUTBOX_RETENTION_HOURS, IDEMPOTENCY_HOURS)):
        raise ImproperlyConfigured(f"{_name} must be longer than OUTBOX_RETENTION_HOURS and IDEMPOTENCY_HOURS.")
if 0 < RESERVATION_RETENTION_HOURS < IDEMPOTENCY_HOURS:
    # Stored responses refer to reservations.
    raise ImproperlyConfigured("RESERVATION_RETENTION_HOURS must be 0, or at least IDEMPOTENCY_HOURS.")
if ORDER_RETENTION_DAYS:
    # Orders are archived last, after the rows that refer to them.
    for _name in ("LEDGER_RETENTION_DAYS", "STOCK_MOVEMENT_RETENTION_DAYS"):
        if not 0 < _ARCHIVED[_name] <= ORDER_RETENTION_DAYS:
            raise ImproperlyConfigured(f"{_name} must be above 0 and at most ORDER_RETENTION_DAYS.")
    if not RESERVATION_RETENTION_HOURS:
        raise ImproperlyConfigured("With ORDER_RETENTION_DAYS, RESERVATION_RETENTION_HOURS must be above 0.")
    if not 0 < PROCESSED_EVENT_RETENTION_HOURS < ORDER_RETENTION_DAYS * 24:
        raise ImproperlyConfigured(
            "PROCESSED_EVENT_RETENTION_HOURS must be above 0 and shorter than ORDER_RETENTION_DAYS."
        )

# --- Limits: 0 per second, minute or hour is no limit -----------------------------------------------------------------

WRITES_PER_SECOND = env.number("WRITES_PER_SECOND", 20.0, least=0)
"""Charges, orders, cancellations and refunds that one account may make per second, on average, before a 429; 0: no
limit."""
WRITES_AT_ONCE = env.integer("WRITES_AT_ONCE", 40, least=1)
"""The same in a burst."""
COUPON_ISSUES_PER_SECOND = env.number("COUPON_ISSUES_PER_SECOND", 10.0, least=0)
"""Coupon issues per account and second; 0: no limit."""
COUPON_ISSUES_AT_ONCE = env.integer("COUPON_ISSUES_AT_ONCE", 20, least=1)
"""The same in a burst."""
LOGINS_PER_MINUTE = env.integer("LOGINS_PER_MINUTE", 60, least=0)
"""Login attempts from one address; token refreshes are counted separately; 0: no limit."""
LOGIN_FAILURES_PER_MINUTE = env.integer("LOGIN_FAILURES_PER_MINUTE", 10, least=0)
"""Failed logins for one name from one address, reset by a success; 0: no limit."""
LOGIN_FAILURES_PER_HOUR = env.integer("LOGIN_FAILURES_PER_HOUR", 100, least=0)
"""Failed logins for one name from all addresses; 0: no limit."""

# --- API --------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["commerce.api.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["commerce.api.throttling.Writes"],
    "DEFAULT_RENDERER_CLASSES": ["commerce.server.json_codec.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["commerce.server.json_codec.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "commerce.api.schema.AutoSchema",
    "DEFAULT_FILTER_BACKENDS": [],
    # OPTIONS is not part of the contract; the OpenAPI schema replaces DRF's metadata.
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "commerce.server.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "NUM_PROXIES": NUM_PROXIES,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "TEST_REQUEST_RENDERER_CLASSES": ["commerce.server.json_codec.JSONRenderer"],
}

ACCESS_TOKEN_MINUTES = env.integer("ACCESS_TOKEN_MINUTES", 15, least=1)
"""Lifetime of access tokens."""
REFRESH_TOKEN_DAYS = env.integer("REFRESH_TOKEN_DAYS", 7, least=1)
"""Lifetime of refresh tokens."""
TOKEN_LEEWAY_SECONDS = env.integer("TOKEN_LEEWAY_SECONDS", 5, least=0)
"""Tolerated difference between the clocks of servers that issue and verify tokens."""

SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=ACCESS_TOKEN_MINUTES),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=REFRESH_TOKEN_DAYS),
    "SIGNING_KEY": JWT_SIGNING_KEY,
    "AUTH_TOKEN_CLASSES": ("commerce.api.tokens.AccessToken",),
    "LEEWAY": TOKEN_LEEWAY_SECONDS,
    "ALGORITHM": "HS256",
    "USER_ID_CLAIM": "userId",
    "UPDATE_LAST_LOGIN": False,
}

SPECTACULAR_SETTINGS = schema_settings.SPECTACULAR_SETTINGS

PROMETHEUS_MULTIPROC_DIR = env.str("PROMETHEUS_MULTIPROC_DIR", default="")
"""The folder in which worker processes share their metrics (also read by prometheus_client)."""

# --- Traces -----------------------------------------------------------------------------------------------------------

OTEL_EXPORTER_OTLP_ENDPOINT = env.str("OTEL_EXPORTER_OTLP_ENDPOINT", default="")
"""Where traces are sent, by OTLP over HTTP (docs/monitoring.md; also read by OpenTelemetry). Empty: no traces."""
OTEL_TRACES_SAMPLER_ARG = env.number("OTEL_TRACES_SAMPLER_ARG", 1.0, least=0, most=1)
"""Share of new traces that is recorded."""
if OTEL_EXPORTER_OTLP_ENDPOINT:
    # After the first one, which sets the request id.
    MIDDLEWARE.insert(1, "commerce.server.tracing.TracingMiddleware")

# --- Logging ----------------------------------------------------------------------------------------------------------

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
"""The level of the log."""
LOG_FORMAT = env.choice("LOG_FORMAT", "json", "text")
"""`json`: one object per line; `text`: for people, used by `make run` (docs/monitoring.md)."""
_secrets = (
    *(SECRET_KEY, *SECRET_KEY_FALLBACKS, JWT_SIGNING_KEY, *JWT_SIGNING_KEY_FALLBACKS),
    *(DATA_PLATFORM_SECRET, *DATA_PLATFORM_SECRET_FALLBACKS, KAFKA_SASL_PASSWORD, KAFKA_SSL_KEY_PASSWORD),
    *(str(database.get("PASSWORD", "")) for database in DATABASES.values()),
)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request": {"()": "commerce.core.logs.RequestFilter"},
        "no_503": {"()": "commerce.core.logs.UnavailableFilter"},
    },
    "formatters": {
        "json": {"()": "commerce.core.logs.JsonLines", "secrets": _secrets},
        "text": {"()": "commerce.core.logs.TextLines", "secrets": _secrets},
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["request"]},
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    # One line per refused request would drown the log in a coupon rush; the metrics count them.
    "loggers": {"django.request": {"level": "ERROR", "filters": ["no_503"]}},
}
