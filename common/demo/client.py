"""A small client of the API: requests, uploads, live events."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import websockets

DIRECT_LIMIT = 5 * 2**20
TIMEOUT = httpx.Timeout(60)


class DemoError(Exception):
    """A step did not do what it should."""


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine and its place in the drive."""

    path: Path
    folder: str

    @property
    def size(self) -> int:
        return self.path.stat().st_size


class Client:
    """Speaks to one platform as one user."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.http = httpx.AsyncClient(base_url=f"{base}/api/v1", timeout=TIMEOUT)
        self.bytes_sent = 0

    async def call(self, method: str, path: str, *, expect: int = 200, **kwargs: Any) -> dict[str, Any]:
        """The JSON answer; raises DemoError for any status but `expect`."""
        answer = await self.http.request(method, path, **kwargs)
        if answer.status_code != expect:
            raise DemoError(f"{method} {path} answered {answer.status_code}: {answer.text[:1000]}")
        body: dict[str, Any] = answer.json()
        return body

    async def register(self, phone: str, outbox: Path, password: str) -> dict[str, Any]:
        """Register with the code that the embedded profile writes to its outbox."""
        await self.call("POST", "/auth/send-code", json={"phone": phone})
        lines = (outbox / "sms.jsonl").read_text("utf-8").splitlines()
        codes = [message["code"] for message in map(json.loads, lines) if message["phone"] == phone]
        body = {
            "username": f"demo_{phone}",
            "phone": phone,
            "verification_code": codes[-1],
            "password": password,
        }
        answer = await self.call("POST", "/auth/register", expect=201, json=body)
        self.http.headers["Authorization"] = f"Bearer {answer['access_token']}"
        user: dict[str, Any] = answer["user"]
        return user

    async def upload(self, name: str, files: list[LocalFile]) -> list[dict[str, Any]]:
        """Upload files as one task; returns the result of each, in the order of `files`."""
        entries = [
            {
                "index": index,
                "local_path": file.path.name,
                "target_folder_path": file.folder,
                "file_name": file.path.name,
                "file_size": file.size,
                "md5": hashlib.md5(file.path.read_bytes(), usedforsecurity=False).hexdigest(),
            }
            for index, file in enumerate(files)
        ]
        manifest = {
            "task_name": name,
            "total_files": len(files),
            "total_size": sum(file.size for file in files),
        }
        body = {"upload_manifest": {**manifest, "files": entries}}
        task = await self.call("POST", "/upload-tasks", expect=201, json=body)
        rows = await self.call("GET", f"/upload-tasks/{task['id']}/files", params={"limit": 1000})
        results = [
            await self.send(f"/upload-tasks/{task['id']}/files/{row['id']}", file)
            for file, row in zip(files, rows["files"], strict=True)
        ]
        task = await self.call("GET", f"/upload-tasks/{task['id']}")
        if task["status"] != "completed":
            raise DemoError(f"the upload is {task['status']}, not completed")
        return results

    async def send(self, url: str, file: LocalFile) -> dict[str, Any]:
        content = file.path.read_bytes()
        self.bytes_sent += len(content)
        if len(content) < DIRECT_LIMIT:
            return await self.call("POST", f"{url}/upload", files={"file": (file.path.name, content)})
        started = await self.call("POST", f"{url}/multipart/init", json={})
        size = started["chunk_size"]
        # Backwards, since any order is right.
        for number in range(started["total_chunks"], 0, -1):
            part = content[(number - 1) * size : number * size]
            digest = hashlib.md5(part, usedforsecurity=False).hexdigest()
            form = {"chunk_index": str(number), "chunk_md5": digest}
            await self.call(
                "POST", f"{url}/multipart/upload", data=form, files={"chunk": (file.path.name, part)}
            )
        return await self.call("POST", f"{url}/multipart/complete", json={})

    async def download(self, url: str, target: Path, sha256: str) -> None:
        """Download a signed link in two ranges and check the digest."""
        first = await self.http.get(url, headers={"Range": "bytes=0-99"})
        rest = await self.http.get(url, headers={"Range": "bytes=100-", "If-Range": first.headers["ETag"]})
        if (first.status_code, rest.status_code) != (206, 206):
            raise DemoError(f"ranges of {target.name} answered {first.status_code} and {rest.status_code}")
        content = first.content + rest.content
        if hashlib.sha256(content).hexdigest() != sha256:
            raise DemoError(f"{target.name} did not arrive as it was sent")
        target.write_bytes(content)

    async def events(self) -> AsyncGenerator[dict[str, Any]]:
        """Live events from a socket opened with a single-use ticket."""
        ticket = await self.call("POST", "/auth/ws-ticket")
        address = self.base.replace("http://", "ws://") + f"/ws?ticket={ticket['ticket']}"
        async with websockets.connect(address, proxy=None) as socket:
            async for message in socket:
                yield json.loads(message)

    async def wait_for(self, what: str, path: str, accept: Any, *, seconds: float = 120) -> dict[str, Any]:
        """Ask `path` until `accept(answer)` holds."""
        for _second in range(int(seconds / 0.2)):
            answer = await self.call("GET", path)
            if accept(answer):
                return answer
            await asyncio.sleep(0.2)
        raise DemoError(f"{what} took longer than {seconds:.0f} s")
