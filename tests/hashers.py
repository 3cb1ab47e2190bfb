"""The hashers of production with the fewest rounds."""

from accounts.hashers import Bcrypt, LegacyBcrypt


class QuickBcrypt(Bcrypt):
    algorithm = "quick_bcrypt"
    rounds = 4


class QuickLegacyBcrypt(LegacyBcrypt):
    rounds = 4
