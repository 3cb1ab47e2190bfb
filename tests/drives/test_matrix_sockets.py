"""Sockets in the matrix of permissions: every role at every route; what happens in a shared drive is its actor's news."""

import pytest
from asgiref.sync import sync_to_async

from accounts.models import User
from accounts.services.sessions import open_session
from common.ids import new_id
from config.asgi import sockets
from drives.models import Drive
from tests.accounts.sockets import Socket, in_a_loop, opened, refused
from tests.conftest import Client

pytestmark = pytest.mark.django_db
