"""Other servers that take uploads, each in the version it was compared in, installed into the scratch folder."""

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.uploads.contestants import Contestant, Missing, TusServer, run

COPYPARTY, TUSPYSERVER = "copyparty==1.20.26", "tuspyserver==4.4.3"
TUS_NODE = ("@tus/server@2.4.5", "@tus/file-store@2.1.1")


def python_tools(tools: Path) -> Path:
    """The interpreter of an environment with the peers that are written in Python."""
    python = tools / "python" / "bin" / "python"
    if not (tools / "python" / "installed").exists():
        run([sys.executable, "-m", "venv", tools / "python"])
        servers = ["uvicorn==0.54.0", "uvloop==0.22.1", "httptools==0.7.1"]
        run([python, "-m", "pip", "install", "--quiet", COPYPARTY, TUSPYSERVER, *servers])
        (tools / "python" / "installed").touch()
    return python


class Copyparty(Contestant):
    """With its own client u2c, whose protocol it is: chunks with SHA-512, every file in its database."""

    name = "copyparty"
    knows_again = True

    def install(self) -> None:
        python_tools(self.tools)

    def command(self) -> list[str | Path]:
        python = python_tools(self.tools)
        (self.data / "files").mkdir(exist_ok=True)
        volume = f"{self.data}/files:/:A"
        return [
            python,
            "-m",
            "copyparty",
            "-q",
            "-i",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-v",
            volume,
            "-e2d",
        ]

    def upload(self, folder: Path, connections: int) -> None:
        # The client is a file of the package, meant to be run by itself.
        [client] = (self.tools / "python").glob("lib/python*/site-packages/copyparty/web/a/u2c.py")
        url = f"http://127.0.0.1:{self.port}/{folder.name}/"
        command = [python_tools(self.tools), client, "-j", str(connections), "-ns", url, folder]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode:
            raise Missing(f"u2c: {(done.stdout + done.stderr).strip()[-300:]}")

    def large(self, connections: int) -> None:
        self.upload(self.corpus.large.parent, connections)

    def small(self, connections: int) -> None:
        self.upload(self.corpus.small[0].parent, connections)

    large_again, small_again = large, small


class TusNode(TusServer):
    """The reference server of the protocol in JavaScript. It checks and counts nothing."""

    name = "@tus/server"
    SCRIPT = """
import { Server } from '@tus/server';
import { FileStore } from '@tus/file-store';
const server = new Server({ path: '/files', datastore: new FileStore({ directory: process.argv[3] }) });
server.listen({ host: '127.0.0.1', port: Number(process.argv[2]) });
"""

    @property
    def folder(self) -> Path:
        return self.tools / "node"

    def install(self) -> None:
        if shutil.which("node") is None or shutil.which("npm") is None:
            raise Missing("node and npm are not installed (Debian: apt-get install nodejs npm)")
        if not (self.folder / "node_modules" / "@tus" / "server").exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "package.json").write_text('{"private": true}')
            run(["npm", "install", "--no-audit", "--no-fund", "--silent", *TUS_NODE], cwd=self.folder)
        (self.folder / "server.mjs").write_text(self.SCRIPT)

    def command(self) -> list[str | Path]:
        (self.data / "files").mkdir(exist_ok=True)
        return ["node", self.folder / "server.mjs", str(self.port), self.data / "files"]


class TusPython(TusServer):
    """The same protocol over FastAPI."""

    name = "tuspyserver"
    SCRIPT = """
import os
from fastapi import FastAPI
from tuspyserver import create_tus_router
app = FastAPI()
app.include_router(create_tus_router(prefix="files", files_dir=os.environ["FILES"], max_size=2**40))
"""

    def install(self) -> None:
        python_tools(self.tools)
        (self.tools / "tus_python.py").write_text(self.SCRIPT)

    def command(self) -> list[str | Path]:
        (self.data / "files").mkdir(exist_ok=True)
        uvicorn: list[str | Path] = [python_tools(self.tools), "-m", "uvicorn", "tus_python:app"]
        bound: list[str | Path] = ["--app-dir", self.tools, "--host", "127.0.0.1", "--port", str(self.port)]
        options = ["--workers", "2", "--log-level", "error"]
        return ["env", f"FILES={self.data / 'files'}", *uvicorn, *bound, *options]
