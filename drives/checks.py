"""System checks of storage: operators learn what is missing before anything is served."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

REQUIRED = {
    "filesystem": {},
    "oss": {
        "access_key_id": "OSS_ACCESS_KEY_ID",
        "access_key_secret": "OSS_ACCESS_KEY_SECRET",
        "bucket_name": "OSS_BUCKET_NAME",
        "region": "OSS_REGION",
        "endpoint": "OSS_ENDPOINT",
    },
    "s3": {"bucket_name": "S3_BUCKET_NAME"},
}


@register()
def storage_is_configured(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Checks the options without which the chosen storage cannot work, and those that are often wrong."""
    kind = settings.BLOB_STORAGE
    options = settings.BLOB_STORAGES[kind]["OPTIONS"]
    found: list[CheckMessage] = [
        Error(f"{variable} must be set for BLOB_STORAGE={kind}.", id="drives.E001")
        for option, variable in REQUIRED[kind].items()
        if not options[option]
    ]
    if kind != "filesystem" and not str(options["location"]).strip("/"):
        found.append(
            Error("BLOB_LOCATION must not be empty: a repair deletes what lies there.", id="drives.E002")
        )
    if kind == "oss":
        found += check_oss(options)
    if kind == "s3" and bool(options["access_key"]) != bool(options["secret_key"]):
        found.append(Error("S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY belong together.", id="drives.E004"))
    return found


def check_oss(options: dict[str, Any]) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if options["region"].startswith("oss-"):
        found.append(Error("OSS_REGION is that of signatures, without oss-: cn-hangzhou.", id="drives.E003"))
    if options["public_is_cname"] and not options["public_endpoint"]:
        found.append(Error("OSS_PUBLIC_IS_CNAME needs the domain in OSS_PUBLIC_ENDPOINT.", id="drives.E005"))
    if "-internal" in options["endpoint"] and not options["public_endpoint"]:
        found.append(
            Warning(
                "Links would name the internal endpoint, which browsers do not reach: set OSS_PUBLIC_ENDPOINT.",
                id="drives.W001",
            )
        )
    return found
