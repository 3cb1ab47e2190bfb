"""The operators' view of people, their sessions, teams and what happened to them."""

from accounts.admin import (
    audit,
    identity,
    teams,
    users,
)

__all__ = ["audit", "identity", "teams", "users"]
