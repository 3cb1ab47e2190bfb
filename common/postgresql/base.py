import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A kept connection is asked at the beginning of each request (`CONN_HEALTH_CHECKS`): here without a round trip."""

    def is_usable(self) -> bool:
        """Whether the server has hung up, which its socket tells: nothing else is to be read from an idle connection.

        A server that vanished without a word shows at the next statement, as one does that goes a moment later.
        """
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0) or super().is_usable()
