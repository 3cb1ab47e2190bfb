"""Password hashes that the platform reads but no longer writes."""

from typing import Any

import bcrypt
from django.contrib.auth.hashers import BCryptPasswordHasher


class LegacyBcrypt(BCryptPasswordHasher):
    """Plain bcrypt of the old service, which silently cut passwords at 72 bytes. Upgraded at the next sign-in."""

    algorithm = "bcrypt"

    def encode(self, password: str, salt: Any) -> str:
        # bcrypt 5 refuses what is longer instead of cutting it; the stored hashes are of the cut ones.
        hashed = bcrypt.hashpw(password.encode()[:72], salt)
        return f"{self.algorithm}${hashed.decode('ascii')}"
