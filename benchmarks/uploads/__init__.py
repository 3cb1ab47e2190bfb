"""Uploads of the platform beside those of other servers, on one machine, with the same files: `make bench`."""
