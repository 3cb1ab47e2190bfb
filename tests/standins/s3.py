"""A bucket that speaks S3: moto's server, in a process of its own, behind a guard that checks signatures.

moto believes every signature and every link. The guard computes them anew, as
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html have it, compares the digest of a
payload that is signed, and refuses links that are over.
"""

import hashlib
import hmac
import io
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

ROOT = Path(__file__).resolve().parents[2]
REGION, BUCKET = "us-east-1", "yuntu-test"
KEYS = {"ak": "sk"}


@dataclass(frozen=True)
class S3Server:
    """Where it listens, and the file whose text makes every query that holds it fail."""

    endpoint: str
    trouble: Path

    @contextmanager
    def failing(self, text: str) -> Iterator[None]:
        """Every request whose query holds `text` gets 503."""
        self.trouble.write_text(text)
        yield
        self.trouble.write_text("")

    def options(self, **changes: Any) -> dict[str, Any]:
        """Options of a storage that may use the bucket."""
        return {
            "access_key": "ak",
            "secret_key": KEYS["ak"],
            "bucket_name": BUCKET,
            "region_name": REGION,
            "endpoint_url": self.endpoint,
            "addressing_style": "path",
            **changes,
        }


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """The server with an empty bucket."""
    trouble = folder / "trouble"
    trouble.touch()
    command = [sys.executable, "-m", __name__, str(trouble)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield S3Server(process.stdout.readline().strip(), trouble)
    finally:
        process.kill()
        process.wait()


class Refused(Exception):
    """Code and text as S3 names them."""


class Guard:
    """WSGI middleware in front of moto."""

    def __init__(self, application: Callable[..., Any], trouble: Path) -> None:
        self.application, self.trouble = application, trouble

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        try:
            if environ["PATH_INFO"].startswith(f"/{BUCKET}"):
                self.check(environ)
        except Refused as error:
            code, message = error.args
            body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
            start_response("503 Slow Down" if code == "SlowDown" else "403 Forbidden", headers)
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
        return self.application(environ, start_response)

    def check(self, environ: dict[str, Any]) -> None:
        """Raises Refused."""
        text = self.trouble.read_text()
        if text and text in environ["QUERY_STRING"]:
            raise Refused("SlowDown", "Please reduce your request rate.")
        query = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
        if "X-Amz-Signature" in query:
            claimed = query.pop("X-Amz-Signature")
            credential, names, moment = (
                query.get(f"X-Amz-{name}", "") for name in ("Credential", "SignedHeaders", "Date")
            )
            payload = "UNSIGNED-PAYLOAD"
            ends_at = at(moment) + timedelta(seconds=int(query.get("X-Amz-Expires", "0")))
            if ends_at < datetime.now(UTC):
                raise Refused("AccessDenied", "Request has expired")
        elif "HTTP_AUTHORIZATION" in environ:
            fields = dict(
                part.strip().split("=", 1)
                for part in environ["HTTP_AUTHORIZATION"].split(" ", 1)[1].split(",")
            )
            credential, names, claimed = (fields[n] for n in ("Credential", "SignedHeaders", "Signature"))
            moment, payload = environ["HTTP_X_AMZ_DATE"], environ["HTTP_X_AMZ_CONTENT_SHA256"]
            if abs(at(moment) - datetime.now(UTC)) > timedelta(minutes=15):
                raise Refused("RequestTimeTooSkewed", "The request time differs too much.")
        else:
            raise Refused("AccessDenied", "Access Denied")
        access_key = credential.split("/")[0]
        if access_key not in KEYS:
            raise Refused("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist.")
        expected = signature_of(environ, query, KEYS[access_key], names.split(";"), moment, payload)
        if not hmac.compare_digest(expected, claimed):
            raise Refused("SignatureDoesNotMatch", "The request signature we calculated does not match.")
        if payload != "UNSIGNED-PAYLOAD":
            self.check_payload(environ, payload)

    def check_payload(self, environ: dict[str, Any], digest: str) -> None:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if hashlib.sha256(body).hexdigest() != digest:
            raise Refused("XAmzContentSHA256Mismatch", "The provided digest is not that of the payload.")


def at(moment: str) -> datetime:
    return datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def signature_of(
    environ: dict[str, Any], query: dict[str, str], secret: str, names: list[str], moment: str, payload: str
) -> str:
    """`query` decoded and without the signature."""
    headers = ""
    for name in names:
        variable = name.upper().replace("-", "_")
        value = environ.get(variable if variable.startswith("CONTENT_") else f"HTTP_{variable}")
        if value is None:
            raise Refused("AccessDenied", f"The signed header {name} is missing.")
        headers += f"{name}:{' '.join(value.split())}\n"
    canonical = "\n".join(
        [
            environ["REQUEST_METHOD"],
            environ["REQUEST_URI"].partition("?")[0],
            "&".join(
                f"{name}={value}" for name, value in sorted((encode(n), encode(v)) for n, v in query.items())
            ),
            headers,
            ";".join(names),
            payload,
        ]
    )
    scope = [moment[:8], REGION, "s3", "aws4_request"]
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", moment, "/".join(scope), digest])
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def encode(text: str) -> str:
    return quote(text, safe="-_.~")


def main() -> None:
    """Serve until killed; the first line of the output is the address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, Guard(application, Path(sys.argv[1])), threaded=True)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="ak",
        aws_secret_access_key=KEYS["ak"],
    )
    client.create_bucket(Bucket=BUCKET)
    print(endpoint, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
