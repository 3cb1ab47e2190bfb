"""Settings of the platform, read from the environment (see .env.example).

With nothing set this is the embedded profile: DEBUG on, PostgreSQL and Redis as children of `make run`, all
state under YUNTU_VAR. With DEBUG off every secret must be given; checks in common/checks.py refuse the rest.
"""

import os
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import environ
from corsheaders.defaults import default_headers
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from common.embedded.layout import Layout
from config.origins import bucket_origins

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
if (BASE_DIR / ".env").is_file():
    env.read_env(BASE_DIR / ".env")

VERSION = "0.1.0"
DEBUG: bool = env.bool("DEBUG", default=True)
EMBEDDED_PROFILE = DEBUG
"""Whether stand-ins for the world outside are allowed; test runners change DEBUG, never this."""
YUNTU_VAR = Path(env.str("YUNTU_VAR", default=str(BASE_DIR / "var"))).resolve()
EMBEDDED = Layout(YUNTU_VAR)


def secret(name: str) -> str:
    """A secret from the environment; outside the embedded profile there is no default."""
    value: str = env.str(name, default="")
    if not value and DEBUG:
        return f"embedded-profile-only-{name.lower()}-not-for-production"
    if not value:
        raise ImproperlyConfigured(f"{name} must be set when DEBUG is off.")
    return value


SECRET_KEY = secret("SECRET_KEY")
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])
"""Keys of before: what they signed, encrypted and hashed is still good."""
ALLOWED_HOSTS: list[str] = env.list(
    "ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEBUG else []
)
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
PUBLIC_URL: str = env.str("PUBLIC_URL", default="")
"""Scheme and host that links in answers begin with; empty: those of the request."""
PORT: str = env.str("PORT", default="8000")
"""TCP port of `make run`, for the stand-ins that are served there."""
NUM_PROXIES: int = env.int("NUM_PROXIES", default=0)
"""Trusted reverse proxies in front; X-Forwarded-For is believed only as far as they wrote it."""

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "backoffice.apps.OfficeAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "django_celery_beat",
    "django_celery_results",
    "common",
    "accounts",
    "billing",
    "drives",
    "uploads",
    "rendering",
    "backoffice",
]

MIDDLEWARE = [
    "common.middleware.RequestIdMiddleware",
    "common.middleware.OriginMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "common.middleware.PolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "common.middleware.JsonErrorMiddleware",
    "common.middleware.SlashMiddleware",
    "common.middleware.UtcMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "backoffice.doors.OfficeDoor",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    *(["common.middleware.NotFoundPageMiddleware"] if DEBUG else []),
]
APPEND_SLASH = False

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
WSGI_APPLICATION = "config.wsgi.application"
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
        },
    },
]

# --- PostgreSQL and Redis ---------------------------------------------------------------------------------

DATABASES = {"default": env.db_url("DATABASE_URL", default=EMBEDDED.database_url)}
DATABASES["default"]["ENGINE"] = "common.postgresql"
DATABASES["default"]["OPTIONS"] = {
    **DATABASES["default"].get("OPTIONS", {}),
    # Guards in triggers raise at commit; a statement that waits for minutes holds a lock somebody wants. Processors
    # are shared by many requests: helpers of one statement cost more than they save (a search: 25 ms with, 9 without).
    "options": "-c statement_timeout=60000 -c idle_in_transaction_session_timeout=60000"
    " -c max_parallel_workers_per_gather=0 -c plan_cache_mode=force_generic_plan",
    # Statements that ask for it are planned once in a connection (rendering.services.claims); Django's own never are.
    "prepare_threshold": 0,
}
if env.bool("DATABASE_POOL", default=False):
    # Under ASGI each request runs in a thread of its own, so persistent connections would pile up there.
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 1,
        "max_size": env.int("DATABASE_POOL_SIZE", default=16),
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = None
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL: str = env.str("REDIS_URL", default=EMBEDDED.redis_url)
REDIS_PREFIX: str = env.str("REDIS_PREFIX", default="yuntu")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": REDIS_PREFIX,
    }
}
CHANNEL_PREFIX = f"{REDIS_PREFIX}-ws"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": CHANNEL_PREFIX},
    }
}

# --- Celery -----------------------------------------------------------------------------------------------

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")
CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": f"{REDIS_PREFIX}-celery:", "socket_timeout": 30}
# Failures are kept as rows for operators; successes only of scheduled tasks that ask for it.
CELERY_RESULT_BACKEND = "common.task_results:TaskResults"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = True
CELERY_RESULT_EXTENDED = True
CELERY_RESULT_EXPIRES = timedelta(days=14)
CELERY_TASK_DEFAULT_QUEUE = "default"
# Long tasks have queues of their own. A worker takes from its queues in turn, so that a folder of pictures does not
# delay short tasks.
CELERY_TASK_ROUTES = {
    "rendering.tasks.inspect_scene": {"queue": "preflight"},
    "drives.tasks.make_preview": {"queue": "previews"},
    "rendering.tasks.draw_results": {"queue": "previews"},
}
CELERY_TASK_SERIALIZER = "json"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A render slot is one message for minutes of work: a busy node must not keep further messages to itself.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True

# --- Identity ---------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = [
    "accounts.hashers.Bcrypt",
    "accounts.hashers.LegacyBcrypt",  # of imported users, until their next sign-in
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "phone", "email")},
    },
    {"NAME": "accounts.password_rules.MinimumLength", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
SIMPLE_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": secret("JWT_SIGNING_KEY"),
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.int("ACCESS_TOKEN_MINUTES", default=30)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.int("REFRESH_TOKEN_DAYS", default=7)),
    "TOKEN_TYPE_CLAIM": "type",
    "USER_ID_CLAIM": "sub",
    "UPDATE_LAST_LOGIN": False,
}
AUTH_CACHE_SECONDS: int = env.int("AUTH_CACHE_SECONDS", default=30)
"""How long a session and its user are cached; that one ends or changes is seen at once all the same. 0: not at all."""
REFRESH_GRACE = timedelta(seconds=env.int("REFRESH_GRACE_SECONDS", default=30))
WS_TICKET_SECONDS: int = env.int("WS_TICKET_SECONDS", default=30)
WS_RECHECK_SECONDS: float = env.float("WS_RECHECK_SECONDS", default=20)
PHONE_CODE_LIFETIME = timedelta(seconds=env.int("PHONE_CODE_SECONDS", default=300))
PHONE_CODE_MAX_GUESSES = 5
SMS_BACKEND: str = env.str("SMS_BACKEND", default="accounts.sms.OutboxSms" if DEBUG else "")
# Of accounts.sms.aliyun.AliyunSms: keys of a RAM user who may send messages, and what was approved for them.
ALIYUN_ACCESS_KEY_ID: str = env.str("ALIYUN_ACCESS_KEY_ID", default="")
ALIYUN_ACCESS_KEY_SECRET: str = env.str("ALIYUN_ACCESS_KEY_SECRET", default="")
SMS_SIGN_NAME: str = env.str("SMS_SIGN_NAME", default="")
SMS_TEMPLATE_CODE: str = env.str("SMS_TEMPLATE_CODE", default="")
SMS_ENDPOINT: str = env.str("SMS_ENDPOINT", default="https://dysmsapi.aliyuncs.com")
SMS_TIMEOUT_SECONDS: float = env.float("SMS_TIMEOUT_SECONDS", default=5)
SMS_LIMITS = {
    "phone_minute": (1, 60),
    "phone_hour": (5, 3600),
    "ip_hour": (env.int("SMS_IP_HOUR", default=10), 3600),
}
LOGIN_LIMIT = (env.int("LOGIN_PER_MINUTE", default=20), 60)
LOGIN_LOCK_FAILURES = (10, 300)
LOGIN_LOCK_SECONDS: int = env.int("LOGIN_LOCK_SECONDS", default=900)
STAFF_SECOND_FACTOR: bool = env.bool("STAFF_SECOND_FACTOR", default=not DEBUG)
"""Whether every operator needs a second factor (TOTP). Those who have set one up are always asked for it."""
SECOND_FACTOR_LIMIT = (5, 300)
OFFICE_ADDRESSES: list[str] = env.list("OFFICE_ADDRESSES", default=[])
"""Networks (192.0.2.0/24) and addresses that reach /admin/; empty: all."""
HASHING_SLOTS: int = env.int("HASHING_SLOTS", default=max(1, min(4, len(os.sched_getaffinity(0)) // 2)))
HASHING_WAITING: int = env.int("HASHING_WAITING", default=3)
"""Password hashes computed at once in a process, and those that wait: together fewer than a web process has threads."""

# A website application of open.weixin.qq.com, and an official account whose address a phone can open by scanning
# (docs/adr/0008-wechat-by-two-applications.md). Where DEBUG is on, both are those of the stand-in.
STAND_IN_WECHAT = f"http://127.0.0.1:{PORT}/standin/wechat"
WECHAT_APP_ID: str = env.str("WECHAT_APP_ID", default="standin-website" if DEBUG else "")
WECHAT_APP_SECRET: str = env.str("WECHAT_APP_SECRET", default="standin-website-secret" if DEBUG else "")
WECHAT_MP_APP_ID: str = env.str("WECHAT_MP_APP_ID", default="standin-official" if DEBUG else "")
WECHAT_MP_APP_SECRET: str = env.str(
    "WECHAT_MP_APP_SECRET", default="standin-official-secret" if DEBUG else ""
)
WECHAT_OPEN_URL: str = env.str(
    "WECHAT_OPEN_URL", default=STAND_IN_WECHAT if DEBUG else "https://open.weixin.qq.com"
)
WECHAT_API_URL: str = env.str(
    "WECHAT_API_URL", default=STAND_IN_WECHAT if DEBUG else "https://api.weixin.qq.com"
)
WECHAT_TIMEOUT_SECONDS: float = env.float("WECHAT_TIMEOUT_SECONDS", default=5)
WECHAT_LOGIN_SECONDS: int = env.int("WECHAT_LOGIN_SECONDS", default=300)
WECHAT_LIMITS = {
    "qrcode": (30, 60),
    "poll": (1200, 60),
    "callback": (60, 60),
    "bind": (20, 60),
    "phone": (10, 600),
}
DEVICE_LIMITS = {
    "new": (env.int("NEW_DEVICES_PER_DAY", default=20), 86400),
    "sign_in": (60, 60),
}
APP_PASSWORD_LIMITS = {
    "ip": (30, 300),
    "user": (60, 300),
}
"""Wrong app passwords until 429, by address and for one name (attempts, seconds); the right one always works."""
TEAM_INVITATION_DAYS: int = env.int("TEAM_INVITATION_DAYS", default=7)
TEAM_INVITATION_LIMIT = (env.int("TEAM_INVITATIONS_HOUR", default=30), 3600)

# --- Money ------------------------------------------------------------------------------------------------

TRIAL_CREDIT = Decimal(env.str("TRIAL_CREDIT", default="50" if DEBUG else "0"))
"""CNY granted to a new user, once."""
VOUCHER_GUESS_LIMITS = {"user": (20, 3600), "address": (100, 3600)}
"""Unknown codes that a user may try, and an address (attempts, seconds)."""
RECHARGE_LIMIT = Decimal(env.str("RECHARGE_LIMIT", default="50000"))
"""CNY that one recharge may bring at most."""
RECHARGE_LIFETIME = timedelta(minutes=env.int("RECHARGE_MINUTES", default=30))
"""How long an order waits for its payment."""
RECHARGE_OPEN_ORDERS: int = env.int("RECHARGE_OPEN_ORDERS", default=10)
"""Orders of a payer that wait for payment at once."""
PAYMENT_TIMEOUT_SECONDS: float = env.float("PAYMENT_TIMEOUT_SECONDS", default=10)
# Payment channels (docs/payments.md); one that lacks a setting is not offered. Where DEBUG is on, both are stand-ins.
STAND_IN_KEYS = YUNTU_VAR / "standin-payment-keys"
STAND_IN_PAYMENT = f"http://127.0.0.1:{PORT}/standin/pay"


def stand_in(value: object) -> str:
    """A default for the embedded profile alone."""
    return str(value) if DEBUG else ""


WECHAT_PAY_MERCHANT_ID: str = env.str("WECHAT_PAY_MERCHANT_ID", default=stand_in("1900000001"))
WECHAT_PAY_APP_ID: str = env.str("WECHAT_PAY_APP_ID", default=stand_in("wx0000000000000001"))
WECHAT_PAY_SERIAL: str = env.str(
    "WECHAT_PAY_SERIAL", default=stand_in("57A2D1E04C00000000000000000000000000BEEF")
)
WECHAT_PAY_PRIVATE_KEY: str = env.str(
    "WECHAT_PAY_PRIVATE_KEY", default=stand_in(STAND_IN_KEYS / "wechat-merchant.pem")
)
WECHAT_PAY_API_V3_KEY: str = env.str(
    "WECHAT_PAY_API_V3_KEY", default=stand_in("standin-api-v3-key-of-32-letters")
)
WECHAT_PAY_PUBLIC_KEY: str = env.str(
    "WECHAT_PAY_PUBLIC_KEY", default=stand_in(STAND_IN_KEYS / "wechat-platform-public.pem")
)
WECHAT_PAY_PUBLIC_KEY_ID: str = env.str(
    "WECHAT_PAY_PUBLIC_KEY_ID", default=stand_in("PUB_KEY_ID_0119000000010000000000000001")
)
WECHAT_PAY_URL: str = env.str(
    "WECHAT_PAY_URL", default=f"{STAND_IN_PAYMENT}/wechat" if DEBUG else "https://api.mch.weixin.qq.com"
)
ALIPAY_APP_ID: str = env.str("ALIPAY_APP_ID", default=stand_in("2021000000000001"))
ALIPAY_SELLER_ID: str = env.str("ALIPAY_SELLER_ID", default=stand_in("2088000000000001"))
ALIPAY_PRIVATE_KEY: str = env.str(
    "ALIPAY_PRIVATE_KEY", default=stand_in(STAND_IN_KEYS / "alipay-merchant.pem")
)
ALIPAY_PUBLIC_KEY: str = env.str(
    "ALIPAY_PUBLIC_KEY", default=stand_in(STAND_IN_KEYS / "alipay-platform-public.pem")
)
PAYMENT_RETURN_URL: str = env.str("PAYMENT_RETURN_URL", default="")
"""Where a browser comes back to from the page of a channel; our own page of money without it."""
ALIPAY_URL: str = env.str(
    "ALIPAY_URL",
    default=f"{STAND_IN_PAYMENT}/alipay/gateway.do" if DEBUG else "https://openapi.alipay.com/gateway.do",
)

# --- Files ------------------------------------------------------------------------------------------------

BLOB_STORAGE: str = env.str("BLOB_STORAGE", default="filesystem")
"""Where blobs lie: filesystem, oss or s3 (docs/storage.md)."""
BLOB_LOCATION: str = env.str("BLOB_LOCATION", default="blobs")
"""What the names of all objects begin with; nothing else may lie below it."""
BLOB_STORAGES: dict[str, dict] = {
    "filesystem": {
        "BACKEND": "drives.storage.filesystem.FileSystemBlobStorage",
        "OPTIONS": {"location": YUNTU_VAR / "blobs"},
    },
    "oss": {
        "BACKEND": "drives.storage.oss.OSSStorage",
        "OPTIONS": {
            "access_key_id": env.str("OSS_ACCESS_KEY_ID", default=""),
            "access_key_secret": env.str("OSS_ACCESS_KEY_SECRET", default=""),
            "bucket_name": env.str("OSS_BUCKET_NAME", default=""),
            "region": env.str("OSS_REGION", default=""),
            "endpoint": env.str("OSS_ENDPOINT", default=""),
            "public_endpoint": env.str("OSS_PUBLIC_ENDPOINT", default=""),
            "public_is_cname": env.bool("OSS_PUBLIC_IS_CNAME", default=False),
            "encryption": env.str("OSS_ENCRYPTION", default=""),
            "encryption_key_id": env.str("OSS_ENCRYPTION_KEY_ID", default=""),
            "sts_role_arn": env.str("OSS_STS_ROLE_ARN", default=""),
            "sts_endpoint": env.str("OSS_STS_ENDPOINT", default="https://sts.aliyuncs.com"),
            "location": BLOB_LOCATION,
        },
    },
    "s3": {
        "BACKEND": "drives.storage.s3.S3BlobStorage",
        "OPTIONS": {
            "access_key": env.str("S3_ACCESS_KEY_ID", default=""),
            "secret_key": env.str("S3_SECRET_ACCESS_KEY", default=""),
            "bucket_name": env.str("S3_BUCKET_NAME", default=""),
            "region_name": env.str("S3_REGION", default=""),
            "endpoint_url": env.str("S3_ENDPOINT", default=""),
            "public_endpoint_url": env.str("S3_PUBLIC_ENDPOINT", default=""),
            "addressing_style": env.str("S3_ADDRESSING_STYLE", default="auto"),
            "encryption": env.str("S3_ENCRYPTION", default=""),
            "encryption_key_id": env.str("S3_ENCRYPTION_KEY_ID", default=""),
            "location": BLOB_LOCATION,
        },
    },
}
OSS_CALLBACK_KEYS = "https://gosspublic.alicdn.com/"
"""Where the public keys lie with which OSS signs its callbacks; only the tests have them elsewhere."""
if BLOB_STORAGE not in BLOB_STORAGES:
    raise ImproperlyConfigured("BLOB_STORAGE must be filesystem, oss or s3.")
DOCUMENT_LOCATION: str = env.str("DOCUMENT_LOCATION", default="documents")
"""Where invoices and evidence lie: beside the blobs, in a folder or below a name of their own."""
if BLOB_STORAGE != "filesystem" and f"{DOCUMENT_LOCATION}/".startswith(f"{BLOB_LOCATION}/".lstrip("/")):
    raise ImproperlyConfigured("DOCUMENT_LOCATION must lie outside of BLOB_LOCATION.")
DOCUMENT_STORAGE: dict = {
    **BLOB_STORAGES[BLOB_STORAGE],
    "OPTIONS": {
        **BLOB_STORAGES[BLOB_STORAGE]["OPTIONS"],
        "location": YUNTU_VAR / "documents" if BLOB_STORAGE == "filesystem" else DOCUMENT_LOCATION,
    },
}
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": YUNTU_VAR / "media"},
    },
    "blobs": BLOB_STORAGES[BLOB_STORAGE],
    "documents": DOCUMENT_STORAGE,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
STAGING_FOLDER = YUNTU_VAR / "staging"
"""Where bytes wait until they are a blob."""
BLOB_GRACE = timedelta(hours=env.int("BLOB_GRACE_HOURS", default=24))
"""How long content that nothing points to is kept, and bytes that nobody finishes beyond an upload's life."""
MEDIA_URL = "/media/"
"""Pictures of users; nothing else that is uploaded is public."""
FILE_UPLOAD_TEMP_DIR = None
ACCEL_REDIRECT_PREFIX: str = env.str("ACCEL_REDIRECT_PREFIX", default="")
"""Internal nginx location that maps to the blob folder; empty: the web process sends the bytes itself."""
DOWNLOAD_LINK_SECONDS: int = env.int("DOWNLOAD_LINK_SECONDS", default=3600)
DEFAULT_DRIVE_SIZE: int = env.int("DEFAULT_DRIVE_SIZE", default=100 * 2**30)
OWNER_STORAGE_LIMIT: int | None = env.int("OWNER_STORAGE_LIMIT", default=0) or None
"""Bytes that all drives of an owner may hold together; none without it."""
TRASH_LIFETIME = timedelta(days=env.int("TRASH_LIFETIME_DAYS", default=30))
"""How long the trash, and the content of drives that were deleted, can be brought back."""
FILE_VERSIONS: int = env.int("FILE_VERSIONS", default=10)
"""How many earlier contents a file keeps."""
FILE_VERSION_LIFETIME = timedelta(days=env.int("FILE_VERSION_DAYS", default=30))
SHARE_PASSWORD_LIMITS = {"link": (10, 600), "address": (60, 3600)}
"""Wrong passwords of an address at one share link, and at all of them (attempts, seconds)."""
COPY_MAX_ITEMS: int = env.int("COPY_MAX_ITEMS", default=50_000)
"""Most files and folders of one copy, which holds the drive while it is made."""
UPLOAD_PART_SIZE: int = env.int("UPLOAD_PART_SIZE", default=5 * 2**20)
UPLOAD_DIRECT_MAX_SIZE: int = env.int("UPLOAD_DIRECT_MAX_SIZE", default=64 * 2**20)
UPLOAD_MAX_FILES: int = env.int("UPLOAD_MAX_FILES", default=20_000)
UPLOAD_LIFETIME = timedelta(hours=env.int("UPLOAD_LIFETIME_HOURS", default=72))
UPLOAD_PAUSE_LIFETIME = timedelta(days=env.int("UPLOAD_PAUSE_DAYS", default=30))
UPLOAD_ACCEPTED_TYPES: list[str] = env.list("UPLOAD_ACCEPTED_TYPES", default=[])
UPLOAD_REFUSED_TYPES: list[str] = env.list(
    "UPLOAD_REFUSED_TYPES", default=[".exe", ".bat", ".cmd", ".com", ".scr", ".msi", ".pif", ".vbs", ".lnk"]
)
"""Endings in lower case, with their dot. With nothing accepted by name, all but the refused are taken."""
CLIENT_LOG_LIMIT = (env.int("CLIENT_LOGS_PER_HOUR", default=20), 3600)
MAX_JSON_BODY: int = env.int("MAX_JSON_BODY", default=16 * 2**20)
MAX_BODY: int = env.int("MAX_BODY", default=66 * 2**20)
ARRIVING_PATHS = r"/dav(/|$)|/api/v1/(tus\b|upload-tasks/[^/]+/files/[^/]+/multipart/parts/)"
"""Where views read their bodies while they arrive (common.bodies), bounded by what was announced alone."""
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_JSON_BODY
DATA_UPLOAD_MAX_NUMBER_FILES = 100  # of a batch of small files
# A part of the usual size is checked in memory before it is written to its place.
FILE_UPLOAD_MAX_MEMORY_SIZE = 6 * 2**20

# --- Rendering --------------------------------------------------------------------------------------------

ENGINES_DIR = Path(env.str("YUNTU_ENGINES", default=str(BASE_DIR / ".engines"))).resolve()
BLENDER_BINARIES: list[str] = env.list("YUNTU_BLENDER", default=[])
"""Blenders besides the installed module; of the same version the binary serves."""
RENDER_ENGINES: list[str] = env.list("RENDER_ENGINES", default=["blender", "maya", "arnold"])
"""Engines this platform offers where a node has them."""
SIMULATED_ENGINE: bool = env.bool("SIMULATED_ENGINE", default=EMBEDDED_PROFILE)
"""Offer the engine that renders nothing, too, to those who name it."""
MAYA_LOCATIONS: list[str] = env.list(
    "MAYA_LOCATIONS", default=["/usr/autodesk/maya2*", "/opt/autodesk/maya2*", "/opt/maya2*"]
)
"""Patterns of folders with a Maya in them (bin/Render); the release is read off a name like maya2025."""
MAYA_RENDERER_DESCRIPTIONS: list[str] = env.list(
    "MAYA_RENDERER_DESCRIPTIONS",
    default=["/usr/autodesk/arnold/maya{version}", "/usr/redshift/redshift4maya/common/rendererDesc"],
)
"""Patterns of folders with ...Renderer.xml that plug-ins did not copy into Maya."""
ARNOLD_LOCATIONS: list[str] = env.list(
    "ARNOLD_LOCATIONS", default=["/usr/autodesk/arnold/maya2*", "/opt/solidangle/*", "/opt/arnold*"]
)
"""Patterns of folders with an Arnold in them (bin/kick)."""
ENGINE_VARIABLES: list[str] = env.list(
    "ENGINE_VARIABLES",
    default=[
        "ADSKFLEX_LICENSE_FILE", "ARNOLD_LICENSE_HOST", "ARNOLD_LICENSE_ORDER", "ARNOLD_LICENSE_PORT",
        "FLEXLM_TIMEOUT", "LM_LICENSE_FILE", "MAYA_LICENSE", "MAYA_LICENSE_METHOD", "PIXAR_LICENSE_FILE",
        "REDSHIFT_COREDATAPATH", "RLM_LICENSE", "VRAY_AUTH_CLIENT_FILE_PATH", "redshift_LICENSE",
        "solidangle_LICENSE",
    ],
)  # fmt: skip
"""Variables of a node that Maya and Arnold get besides a job's own: where their licences are."""
RENDER_LEASE = timedelta(seconds=env.float("RENDER_LEASE_SECONDS", default=45))
RENDER_HEARTBEAT_SECONDS: float = env.float("RENDER_HEARTBEAT_SECONDS", default=1)
RENDER_NODE_HEARTBEAT_SECONDS: float = env.float("RENDER_NODE_HEARTBEAT_SECONDS", default=10)
RENDER_FRAME_TIMEOUT_SECONDS: float = env.float("RENDER_FRAME_TIMEOUT_SECONDS", default=4 * 3600)
RENDER_IDLE_TIMEOUT_SECONDS: float = env.float("RENDER_IDLE_TIMEOUT_SECONDS", default=1800)
RENDER_TEAM: tuple[int | None, int] = (64, 4)
"""Frames at once of a team, and its weight in sharing the farm; those of users come with their plans."""
RENDER_EXPECTED_FRAME_SECONDS: float = env.float("RENDER_EXPECTED_FRAME_SECONDS", default=120)
"""What a frame is expected to take, where rendering is paid by the hour and nothing of the scene was rendered yet."""
RENDER_CAPTURE_SECONDS: float = env.float("RENDER_CAPTURE_SECONDS", default=60)
"""How often at most a job that renders is charged for what it has rendered."""
RENDER_CHUNK_SECONDS: float = env.float("RENDER_CHUNK_SECONDS", default=10)
"""What the further frames of an attempt may take, where the farm chooses how many there are; 0: there are none."""
RENDER_FAILED_SHARE = Decimal(env.str("RENDER_FAILED_SHARE", default="0"))
"""The part of the price, 0 to 1, that is charged for frames that fail by a fault of their scene; 0: nothing."""
RENDER_IDLE_HOLD_DAYS: int = env.int("RENDER_IDLE_HOLD_DAYS", default=30)
"""After so long a paused job holds no money any more; it holds anew when it goes on."""
RENDER_MAX_ATTEMPTS = 3
RENDER_BLOCK_AFTER = 3
"""Failures of a job on one node after which the node gets no more of its frames."""
RENDER_MAX_LOST = 10
RENDER_MAX_FRAMES = 100_000
RENDER_NODE_SLOTS: int = env.int("RENDER_NODE_SLOTS", default=1)
RENDER_NODE_TAGS: list[str] = env.list("RENDER_NODE_TAGS", default=[])
RENDER_CACHE_SIZE: int = env.int("RENDER_CACHE_SIZE", default=50 * 2**30)
RENDER_NODE_FOLDER = Path(env.str("RENDER_NODE_FOLDER", default=str(YUNTU_VAR / "node"))).resolve()
INSPECT_TIMEOUT_SECONDS: float = env.float("INSPECT_TIMEOUT_SECONDS", default=120)
INSPECT_MAX_SIZE: int = env.int("INSPECT_MAX_SIZE", default=8 << 30)
INSPECT_MAX_MEMORY_SIZE: int = env.int("INSPECT_MAX_MEMORY_SIZE", default=16 << 30)

# --- API --------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.SessionTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "accounts.guests.PhoneBound",
    ],
    "DEFAULT_RENDERER_CLASSES": ["common.renderers.ApiRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "common.renderers.OnlyOne",
    "DEFAULT_PARSER_CLASSES": [
        "common.parsers.ApiJsonParser",
        "rest_framework.parsers.MultiPartParser",
        "rest_framework.parsers.FormParser",
    ],
    "DEFAULT_SCHEMA_CLASS": "common.openapi.ApiSchema",
    "EXCEPTION_HANDLER": "common.exceptions.exception_handler",
    "DEFAULT_THROTTLE_CLASSES": ["common.throttles.RequestThrottle"],
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": False,
}
THROTTLES = {
    "anonymous": (env.int("THROTTLE_ANONYMOUS_PER_MINUTE", default=300), 60),
    # A client sends small files as fast as the disk gives them.
    "user": (env.int("THROTTLE_USER_PER_MINUTE", default=30_000), 60),
    "avatar": (20, 3600),
    "deletion": (20, 3600),
}
"""Requests (limit, seconds) by address and by user; further names are the `throttle_scope` of stricter doors."""
SPECTACULAR_SETTINGS = {
    "TITLE": "Yuntu API",
    "DESCRIPTION": "Render farm and net-disk: upload scenes, render frames, watch them live, download, pay.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "common.openapi.add_error",
    ],
    "ENUM_NAME_OVERRIDES": {
        "PaymentChannelEnum": "billing.models.Channel",
        "RechargeStatusEnum": "billing.models.RechargeOrder.Status",
        "JobStatusEnum": "rendering.models.RenderJob.Status",
        "UploadTaskStatusEnum": "uploads.models.UploadTask.Status",
        "TaskFileStatusEnum": "uploads.models.TaskFile.Status",
        "TeamRoleEnum": "accounts.models.TeamMember.Role",
        "DriveRoleEnum": "drives.models.DriveMember.Role",
        "PreviewStateEnum": "drives.models.BlobPreview.State",
        "BillKindEnum": "billing.models.Bill.Kind",
        "InvoiceKindEnum": "billing.models.InvoiceRequest.Kind",
        "InvoiceStatusEnum": "billing.models.InvoiceRequest.Status",
        "InvoiceTitleTypeEnum": "billing.models.InvoiceRequest.TitleKind",
        "TransactionTypeEnum": "billing.models.LedgerEntry.Kind",
        "DependencyKindEnum": "rendering.models.JobDependency.Kind",
    },
}
CORS_ALLOWED_ORIGINS: list[str] = env.list("CORS_ORIGINS", default=[])
CORS_ALLOWED_ORIGIN_REGEXES = [r"^http://(localhost|127\.0\.0\.1)(:\d+)?$"] if DEBUG else []
CORS_ALLOW_CREDENTIALS = True
TUS_HEADERS = ["Tus-Resumable", "Upload-Length", "Upload-Metadata", "Upload-Offset"]
CORS_ALLOW_HEADERS = [
    *default_headers,
    *map(str.lower, TUS_HEADERS),
    "x-http-method-override",
    "x-request-id",
]
CORS_EXPOSE_HEADERS = [
    "X-Request-Id",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "ETag",
    "Content-Range",
    "Content-Disposition",
    *TUS_HEADERS,
    "Location",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Version",
    "Upload-Expires",
    "Yuntu-File-Id",
]

# --- Language, time, static files, admin ------------------------------------------------------------------

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
FORMAT_MODULE_PATH = "config.formats"
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"
STATIC_URL = "/static/"
# Where `collectstatic` puts what nginx or whitenoise serves; the embedded profile serves it from where it lies.
STATIC_ROOT = None if DEBUG else Path(env.str("STATIC_ROOT", default=str(YUNTU_VAR / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = False
X_FRAME_OPTIONS = "SAMEORIGIN"
PICTURE_ORIGINS = bucket_origins(BLOB_STORAGE, BLOB_STORAGES[BLOB_STORAGE]["OPTIONS"])
# Our own pages run our own scripts alone. Swagger, ReDoc and the admin bring inline ones along.
CONTENT_SECURITY_POLICY = {
    "EXCLUDE_URL_PREFIXES": ["/admin", "/docs", "/redoc"],
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:", *PICTURE_ORIGINS],
        "media-src": ["'self'", *PICTURE_ORIGINS],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    },
}
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"

UNFOLD = {
    "SITE_TITLE": _("Yuntu"),
    "SITE_HEADER": _("Yuntu back office"),
    "SITE_SYMBOL": "cloud",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/static/accounts/logo.svg"}],
    "LOGIN": {"form": "accounts.forms.OfficeLoginForm"},
    "SHOW_HISTORY": lambda request: request.user.has_perm("accounts.view_auditevent"),
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {"show_search": True, "navigation": "backoffice.navigation.sidebar"},
    "DASHBOARD_CALLBACK": "backoffice.dashboard.put_figures",
    "STYLES": ["/static/backoffice/office.css"],
    "SCRIPTS": ["/static/backoffice/dialogs.js"],
    "ACCOUNT": {"navigation": [{"title": _("Second factor"), "link": "/admin/second-factor/"}]},
}

OUTBOX_MAIL = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_BACKEND = env.str(
    "EMAIL_BACKEND", default=OUTBOX_MAIL if DEBUG else "django.core.mail.backends.smtp.EmailBackend"
)
EMAIL_FILE_PATH = YUNTU_VAR / "outbox" / "mail"
EMAIL_HOST: str = env.str("EMAIL_HOST", default="localhost")
EMAIL_PORT: int = env.int("EMAIL_PORT", default=25)
EMAIL_HOST_USER: str = env.str("EMAIL_HOST_USER", default="")
EMAIL_HOST_PASSWORD: str = env.str("EMAIL_HOST_PASSWORD", default="")
EMAIL_USE_TLS: bool = env.bool("EMAIL_USE_TLS", default=False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", default="yuntu@localhost")
ACCOUNT_DELETION_DAYS: int = env.int("ACCOUNT_DELETION_DAYS", default=15)
"""How long an account that its user wants deleted can still be kept."""
EMAIL_LIMITS = {"user": (5, 3600), "ip": (20, 3600)}
"""Links that are mailed for a user, and for an address they ask from (links, seconds)."""

if not DEBUG:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if NUM_PROXIES else None
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=0)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "common.middleware.RequestIdFilter"}},
    "formatters": {
        "plain": {"format": "{asctime} {levelname} {name} [{request_id}] {message}", "style": "{"},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["request_id"]},
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "oss2": {"level": "WARNING"},
        "botocore": {"level": "WARNING"},
        "urllib3": {"level": "WARNING"},  # it writes down addresses, and one of Aliyun's holds the code
        "django.request": {"level": "ERROR"},
    },
}
