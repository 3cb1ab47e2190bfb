"""ASGI entry: HTTP and WebSockets in one process (`make run`), or sockets alone behind nginx in production."""

import gc
import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("DATABASE_POOL", "1")
http = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402  (needs the app registry)
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from channels.sessions import SessionMiddlewareStack  # noqa: E402
from django.conf import settings  # noqa: E402
from django.urls import path, re_path  # noqa: E402

from accounts.consumers import EventConsumer  # noqa: E402
from common.bodies import ArrivingBodies  # noqa: E402
from common.middleware import BodyLimit  # noqa: E402
from config.fitness import refuse_unfit  # noqa: E402
from rendering.consumers import JobWatchConsumer  # noqa: E402

refuse_unfit()

# This socket is authenticated by a cookie, which browsers send along for any page: only our own may open it.
watch = AllowedHostsOriginValidator(SessionMiddlewareStack(JobWatchConsumer.as_asgi()))
sockets = URLRouter(
    [
        re_path(r"^ws/?$", EventConsumer.as_asgi()),
        path("ws/office/jobs/<uuid:job_id>", watch),
        path("ws/<str:user_id>", EventConsumer.as_asgi()),
    ]
)
application = ProtocolTypeRouter(
    {"http": ArrivingBodies(BodyLimit(http, settings.MAX_BODY)), "websocket": sockets}
)
# What is loaded by now stays for good: the garbage collector need not look at it again and again.
gc.freeze()
