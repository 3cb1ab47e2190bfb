"""Signals for the apps above."""

from django.dispatch import Signal

user_registered = Signal()
"""Sent inside the transaction that creates a user, with `user`, so that receivers create what a new user needs.
`imported=True` means that the user comes from the old service.
"""

phone_bound = Signal()
"""Sent inside the transaction that gives a user a phone, or another one, with `user` and `was_guest`."""

level_changed = Signal()
"""Sent inside the transaction that gives a user another member level, with `user`."""

team_created = Signal()
"""Sent inside the transaction that creates a team, with `team`, so that receivers create what a new team needs."""

team_deleted = Signal()
"""Sent inside the transaction that deletes a team, with `team` before its deletion: the apps above delete what is
empty. Where something remains that is not, the team stays.
"""

user_leaves = Signal()
"""Sent before the transaction that deletes a user, with `user`: apps end here what takes transactions of its own. A
deletion that fails afterwards is tried again.
"""

user_deleted = Signal()
"""Sent inside the transaction that deletes a user, with `user` before its deletion: the apps above end what is
theirs. Ledger and bills stay.
"""
