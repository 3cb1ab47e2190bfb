"""Bodies that are received past gunicorn's reader."""

import os
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from gunicorn.http.body import LengthReader
from gunicorn.http.unreader import SocketUnreader

from common.bodies import receive

CONTENT = os.urandom(300_000)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Key and certificate of a server, in one file."""
    key, name, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([]), datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    path = tmp_path / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_a_body_over_tls(certificate: Path) -> None:
    """Where gunicorn has the certificate itself: no call waits for all of it there."""
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate)
    mine = ssl.create_default_context()
    mine.check_hostname, mine.verify_mode = False, ssl.CERT_NONE
    server, client = socket.socketpair()

    def send() -> None:
        with mine.wrap_socket(client) as connection:
            connection.sendall(CONTENT)

    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(send)
        with theirs.wrap_socket(server, server_side=True) as connection:
            reader, memory = LengthReader(SocketUnreader(connection), len(CONTENT)), bytearray(2**20)
            assert receive(reader, memoryview(memory)) == len(CONTENT)
        sent.result(20)
    assert memory[: len(CONTENT)] == CONTENT
