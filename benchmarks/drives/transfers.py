"""`make benchtransfers`: bytes out of a drive and into it, beside other servers in the same rounds.

A ZIP of a folder, which is computed as it is read, beside nginx with the very same bytes as a file; and rclone over
WebDAV beside copyparty's. Ours is in the shape of production: gunicorn, and nginx before it where that is said.
"""

import argparse
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from urllib.parse import quote, urlsplit

from benchmarks.uploads.contestants import Missing, Nginx, free_port, run
from benchmarks.uploads.corpus import Corpus
from benchmarks.uploads.peers import Copyparty
from benchmarks.uploads.report import Report, say_load
from benchmarks.uploads.servers import SpooledYuntu
from benchmarks.uploads.yuntu import Platform

REPOSITORY = Path(__file__).resolve().parents[2]
MIB = 1 << 20
MEMBER_SIZE = 4 * MIB
ZIP, ZIP_BEHIND, STATIC = "yuntu", "yuntu, nginx before it", "nginx, the same bytes"
DAV, DAV_BEHIND, THEIRS = "yuntu, WebDAV", "yuntu, WebDAV, nginx before it", "copyparty, WebDAV"
WAYS = ("up, one large", "down, one large", "up, many small", "down, many small")


class Server(SpooledYuntu):
    """As deploy/nginx.conf has it: bodies for /dav/ are handed on as they come, and blobs sent by nginx, to which
    gunicorn names them. `direct` is the port of a gunicorn that has none before it.
    """

    CONFIGURATION = SpooledYuntu.CONFIGURATION.replace(
        "location / {{ proxy_pass http://web; }}",
        """location / {{ proxy_pass http://web; }}
        location /zips {{ proxy_pass http://web; proxy_buffer_size 256k; proxy_busy_buffers_size 512k;
            proxy_buffers 8 256k; proxy_max_temp_file_size 0; }}
        location /dav {{ proxy_pass http://web; proxy_request_buffering off; client_body_buffer_size 1m; }}
        location /internal/blobs/ {{ internal; alias {blobs}/; sendfile on; }}""",
    )
    ACCEL = {"ACCEL_REDIRECT_PREFIX": "/internal/blobs"}

    def __init__(self, scratch: Path, corpus: Corpus, platform: Platform) -> None:
        super().__init__(scratch, corpus, platform)
        self.CONFIGURATION = self.CONFIGURATION.replace("{blobs}", str(platform.layout.blobs))

    def start(self) -> None:
        super().start()
        self.direct = free_port()
        self.launch(self.gunicorn(self.direct, "--workers 2"), {"ACCEL_REDIRECT_PREFIX": ""})
        self.await_port(self.direct)

    def launch(self, command: Sequence[str | Path], env: dict[str, str] | None = None) -> None:
        super().launch(command, {**self.ACCEL, **(env or {})})


def fetch(port: int, path: str) -> tuple[float, int]:
    """Seconds and bytes of a download by curl. Raises Missing."""
    url = f"http://127.0.0.1:{port}{path}"
    command = ["curl", "-sf", "-o", "/dev/null", "-w", "%{time_total} %{size_download}", url]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"curl {path[:60]}: {done.returncode}")
    seconds, size = done.stdout.split()
    return float(seconds), int(size)


class Rclone:
    """rclone with one remote; four transfers side by side, as it does by itself."""

    def __init__(self, url: str, user: str = "", password: str = "", vendor: str = "other") -> None:
        told = {"TYPE": "webdav", "URL": url, "VENDOR": vendor}
        if user:
            done = subprocess.run(["rclone", "obscure", password], capture_output=True, text=True, check=True)
            told |= {"USER": user, "PASS": done.stdout.strip()}
        self.env = {**os.environ, **{f"RCLONE_CONFIG_THERE_{name}": value for name, value in told.items()}}

    def copy(self, source: str | Path, target: str | Path) -> float:
        """Seconds. Raises Missing."""
        os.sync()  # nobody pays for what others have left to write
        begun = time.perf_counter()
        command = ["rclone", "--config", "/dev/null", "--retries", "1", "copy", str(source), str(target)]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise Missing(f"rclone: {done.stderr.strip()[-300:]}")
        return time.perf_counter() - begun


def noise(size: int) -> "islice[bytes]":
    return islice(iter(lambda: os.urandom(MIB), b""), size // MIB)


def zip_link(size: int) -> str:
    """The path of a link to a ZIP of a folder of `size` bytes. Needs Django set up."""
    from accounts.models import User
    from drives.links import link_to_zip
    from drives.services.archives import order_archive
    from drives.services.blobs import keep_chunks
    from drives.services.drives import default_drive
    from drives.services.tree import create_folder, put_content

    user = User.objects.get(username="bench")
    drive = default_drive(user=user)
    folder = create_folder(drive=drive, actor=user, parent_path="/", name="zip")
    for number in range(size // MEMBER_SIZE):
        kept = keep_chunks(noise(MEMBER_SIZE))
        put_content(drive=drive, actor=user, folder_path="/zip", name=f"{number:04}.bin", kept=kept)
    folder.drive = drive
    archive, _found = order_archive(entries=[folder], actor=user, seconds=86400)
    return urlsplit(link_to_zip(archive, "all.zip", request=None)).path


def dav_password() -> tuple[str, str]:
    """The id of the drive, and a password for it. Needs Django set up."""
    from accounts.models import User
    from accounts.services import app_passwords
    from drives.services.drives import default_drive

    user = User.objects.get(username="bench")
    return str(default_drive(user=user).pk), app_passwords.create(user=user, name="rclone")[1]


def measure_zip(server: Server, static: Nginx, size: int, rounds: int) -> Report:
    report, link = Report(), zip_link(size)
    built = static.data / "files" / "all.zip"
    built.parent.mkdir(parents=True, exist_ok=True)
    run(["curl", "-sf", "-o", built, f"http://127.0.0.1:{server.port}{link}"])
    ways: dict[str, Callable[[], tuple[float, int]]] = {
        ZIP: lambda: fetch(server.direct, link),
        ZIP_BEHIND: lambda: fetch(server.port, link),
        STATIC: lambda: fetch(static.port, "/all.zip"),
    }
    for turn in range(rounds + 1):
        for name, act in ways.items():
            seconds, got = act()
            if got != built.stat().st_size:
                raise Missing(f"{name}: {got} bytes instead of {built.stat().st_size}")
            if turn:  # the first is to warm up
                report.rates[name, "ZIP, MB/s"].append(got / 1e6 / seconds)
    return report


def measure_dav(server: Server, copyparty: Copyparty, corpus: Corpus, scratch: Path, rounds: int) -> Report:
    report = Report()
    drive, password = dav_password()

    def ours(port: int) -> Rclone:
        return Rclone(f"http://127.0.0.1:{port}/dav/{quote(drive)}", "bench", password, "owncloud")

    remotes = {
        DAV: ours(server.direct),
        DAV_BEHIND: ours(server.port),
        THEIRS: Rclone(f"http://127.0.0.1:{copyparty.port}/", vendor="owncloud"),
    }
    large, small = corpus.large.parent, corpus.small[0].parent
    for turn in range(rounds + 1):
        names = [*remotes]
        for number, name in enumerate(names[turn % 3 :] + names[: turn % 3]):
            remote = remotes[name]
            corpus.renew()  # what is known already is not kept again
            for what, folder, unit in (
                ("large", large, corpus.large_size / 1e6),
                ("small", small, len(corpus.small)),
            ):
                there, back = f"there:{what}{turn}{number}", scratch / "back"
                of = "one large" if what == "large" else "many small"
                up = unit / remote.copy(folder, there)
                shutil.rmtree(back, ignore_errors=True)
                down = unit / remote.copy(there, back)
                same(folder, back)
                if turn:
                    report.rates[name, f"up, {of}"].append(up)
                    report.rates[name, f"down, {of}"].append(down)
    return report


def same(sent: Path, back: Path) -> None:
    """Raises Missing where the files that came back are not those that were sent."""
    if subprocess.run(["diff", "-r", sent, back], capture_output=True).returncode:
        raise Missing(f"{back} is not what was sent")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make benchtransfers", description=__doc__)
    var = Path(os.environ.get("YUNTU_VAR") or REPOSITORY / "var")
    parser.add_argument("--scratch", type=Path, default=var / "bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--zip", type=int, default=1024, help="MiB of the ZIP")
    parser.add_argument("--large", type=int, default=256, help="MiB of the large file over WebDAV")
    parser.add_argument("--small", type=int, default=500, help="files of 20 KiB over WebDAV")
    arguments = parser.parse_args()
    scratch: Path = arguments.scratch.resolve()
    corpus = Corpus(scratch / "corpus", arguments.large * MIB, arguments.small)
    corpus.create()
    platform = Platform(scratch)
    server, static = Server(scratch, corpus, platform), Nginx(scratch, corpus)
    copyparty = Copyparty(scratch, corpus)
    contestants = (server, static, copyparty)
    load = [os.getloadavg()[0]]
    try:
        platform.start()
        os.environ.update(platform.env)
        import django

        django.setup()
        for contestant in contestants:
            contestant.install()
            contestant.start()
        zips = measure_zip(server, static, arguments.zip * MIB, arguments.rounds)
        load.append(os.getloadavg()[0])
        print(zips.table([ZIP, ZIP_BEHIND, STATIC], ["ZIP, MB/s"]))
        for name in (ZIP, ZIP_BEHIND):
            print(f"{name}:\n{zips.ratios(name, [STATIC], ['ZIP, MB/s'])}", flush=True)
        drives = measure_dav(server, copyparty, corpus, scratch, arguments.rounds)
        print(f"\nMB/s, files/s\n{drives.table([DAV, DAV_BEHIND, THEIRS], list(WAYS))}")
        for name in (DAV, DAV_BEHIND):
            print(f"{name}:\n{drives.ratios(name, [THEIRS], list(WAYS))}", flush=True)
    finally:
        for contestant in contestants:
            contestant.stop()
            contestant.clear()
        platform.stop()
    load.append(os.getloadavg()[0])
    say_load(load)


if __name__ == "__main__":
    main()
