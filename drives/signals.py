"""Questions to the apps above."""

from django.dispatch import Signal

uploads_in_use = Signal()
"""Sent with `ids`, a set of ids of staged bytes and of multipart uploads, and keys of objects that no blob has; a
receiver answers those of them that an open upload still needs."""

content_read = Signal()
"""Sent with `blob` and `md5` when content that a client put into the bucket was read, before it is shared."""
