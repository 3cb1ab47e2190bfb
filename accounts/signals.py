"""News for the apps above."""

from django.dispatch import Signal

user_registered = Signal()
"""Sent inside the transaction that creates a user, with `user`: what a new user gets is created with the user.

`imported=True` says that they come from the old service and are not new.
"""

phone_bound = Signal()
"""Sent inside the transaction that gives a user a phone, or another one, with `user` and `was_guest`."""

level_changed = Signal()
"""Sent inside the transaction that gives a user another member level, with `user`."""

team_created = Signal()
"""Sent inside the transaction that creates a team, with `team`: what a team has from the start is created with it."""

team_deleted = Signal()
"""Sent inside the transaction that deletes a team, with `team` as it still is: the apps above let go of what is empty.
Where something is left that is not, it stays."""

user_deleted = Signal()
"""Sent inside the transaction that deletes a user, with `user` as they still are: the apps above let go of what is
theirs. Ledger and bills stay."""
