from django.contrib.auth.hashers import BCryptSHA256PasswordHasher


class QuickBcrypt(BCryptSHA256PasswordHasher):
    """The hasher of production with the fewest rounds."""

    algorithm = "quick_bcrypt"
    rounds = 4
