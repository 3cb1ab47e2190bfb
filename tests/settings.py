"""Settings of the tests: the real ones, with quick hashing and short waits."""

import os
from datetime import timedelta

from config.settings import *  # noqa: F403
from config.settings import REDIS_PREFIX as BASE_PREFIX
from config.settings import REST_FRAMEWORK  # noqa: F401

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
PASSWORD_HASHERS = ["tests.hashers.QuickBcrypt"]
RENDER_LEASE = timedelta(seconds=5)
RENDER_HEARTBEAT_SECONDS = 0.5
RENDER_NODE_HEARTBEAT_SECONDS = 1
WS_RECHECK_SECONDS = 1
