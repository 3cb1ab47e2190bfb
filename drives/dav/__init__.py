"""Drives as network drives: WebDAV (RFC 4918) at /dav/ over the services that the API uses."""
