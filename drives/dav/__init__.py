"""Drives as network drives: WebDAV (RFC 4918) at /dav/, on top of the services that the API uses."""
