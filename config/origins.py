"""Where pictures and films of our pages may come from besides our own origin: signed links lead to the bucket."""

from typing import Any
from urllib.parse import urlsplit


def bucket_origins(storage: str, options: dict[str, Any]) -> list[str]:
    """Origins of the links that a browser gets, by the name of the storage and its options in the settings.

    S3 and OSS put the bucket into the host, S3 also into the path; none where blobs lie on the file system.
    """
    bucket = options.get("bucket_name")
    if storage == "filesystem" or not bucket:
        return []
    if storage == "oss":
        endpoint = options["public_endpoint"] or options["endpoint"]
    else:
        region = options["region_name"]
        amazon = f"s3.{region}.amazonaws.com" if region else "s3.amazonaws.com"
        endpoint = options["public_endpoint_url"] or options["endpoint_url"] or amazon
    parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
    if storage == "oss" and options["public_is_cname"]:
        return [f"{parts.scheme}://{parts.netloc}"]
    return [f"{parts.scheme}://{parts.netloc}", f"{parts.scheme}://{bucket}.{parts.netloc}"]
