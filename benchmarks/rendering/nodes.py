"""What a node costs a frame, beyond the engine: `python -m benchmarks.rendering.nodes`.

One node in this process works on jobs whose engine is a shell that writes a picture, over real PostgreSQL, Redis and a
storage of files. The engine's own time, the same command started by hand, is taken off.

- overhead of a frame for a scene with many textures, on a warm cache: claim, layout, check, preview, store, deliver;
- a flood of lines through the runner, beside a bare read of the same pipe;
- many small files fetched into an empty cache one after the other and by the cache, and laid out again from a full one.
"""

import argparse
import itertools
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.uploads.report import aligned, say_load, spread
from benchmarks.uploads.yuntu import Platform

REPOSITORY = Path(__file__).resolve().parents[2]
LINES = 100_000
FLOOD = f"seq -f 'Fra:1 Mem:12.3M (Peak 20M) | Sample %.0f/4096' {LINES}"
SMALL = 20 * 1024


def seconds_of(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


class Bench:
    """A user with a drive, and a node; imported once Django is set up."""

    def __init__(self, scratch: Path, size: tuple[int, int]) -> None:
        import numpy as np
        import OpenImageIO as oiio  # noqa: N813

        from accounts.models import User
        from billing.services.credits import credit
        from rendering.engines import ENGINES
        from rendering.engines.blender.adapter import BlenderEngine
        from rendering.node import Node

        self.scratch = scratch
        self.user = User.objects.get(username="bench")
        credit(user=self.user, amount=Decimal(100_000), key="bench", reason="bench")
        picture = scratch / "picture.png"
        # Surfaces with some noise, as renderers leave them.
        y, x = np.mgrid[0 : size[1], 0 : size[0]]
        surfaces = np.stack([x / 8 % 200, y / 5 % 200, (x + y) / 12 % 200], -1)
        pixels = (surfaces + np.random.default_rng(1).integers(0, 8, surfaces.shape)).astype(np.uint8)
        oiio.ImageBuf(pixels).write(str(picture))

        class Shell(BlenderEngine):
            def versions(self) -> dict[str, list[str]]:
                return {"5.0.1": ["CYCLES"]}

            def render_command(self, spec: Any, work_folder: Path) -> list[str]:
                super().render_command(spec, work_folder)
                out = spec.output_folder / f"{spec.frames[0]:04d}.png"
                return ["sh", "-c", f"cp {picture} {out}; echo yuntu_frame: {spec.frames[0]} {out}"]

        ENGINES["blender"] = Shell()
        self.picture = picture
        self.node = Node(name="bench", slots=1)
        self.node.start()

    def put_files(self, folder: str, count: int) -> list[Any]:
        from drives.services.blobs import store_chunks
        from drives.services.drives import default_drive
        from drives.services.places import ensure_folders
        from drives.services.tree import NewFile, put_files

        drive = default_drive(user=self.user)
        row = ensure_folders(drive=drive, paths={folder})[folder]
        new = [NewFile(row, f"{n:05d}.tex", store_chunks([os.urandom(SMALL)])) for n in range(count)]
        return put_files(drive=drive, actor=self.user, new_files=new)

    def job(self, files: list[Any], scene: Any, frames: int) -> Any:
        from rendering.services.admission import advance_job
        from rendering.services.creating import NewJob, create_job
        from rendering.services.submitting import submit_job

        # A frame an attempt: the shell renders one, and what an attempt costs is to be seen.
        new = NewJob("bench", scene_file_id=scene.pk, engine="blender", frames=f"1-{frames}", chunk_size=1)
        job = create_job(user=self.user, new=new)
        submit_job(job=job)
        advance_job(job_id=job.pk)
        job.refresh_from_db()
        assert job.status_name == "queued", job.error_message  # noqa: S101
        return job

    def overhead(self, textures: int, frames: int, rounds: int) -> list[list[str]]:
        from django.utils import timezone

        from rendering.models import SceneReport

        files = self.put_files("/proj/tex", textures)
        [scene] = self.put_files("/proj", 1)
        type(scene).objects.filter(pk=scene.pk).update(name="scene.blend")
        assets = [
            {"path": f"//tex/{file.name}", "kind": "image", "packed": False, "users": []} for file in files
        ]
        data = {"frame_start": 1, "frame_end": 10, "frame_step": 1, "renderer": "CYCLES", "assets": assets}
        SceneReport.objects.create(
            blob=scene.blob, engine="blender", status="ready", due_at=timezone.now(), data=data
        )
        target = self.scratch / "out.png"
        alone = ["sh", "-c", f"cp {self.picture} {target}; echo yuntu_frame: 1 {target}"]

        def by_hand() -> None:
            subprocess.run(alone, stdout=subprocess.PIPE)

        engine, whole = [], []
        for number in range(rounds + 1):
            job = self.job(files, scene, frames)
            spent = seconds_of(lambda: self.node.work("blender")) / frames
            job.refresh_from_db()
            assert job.status_name == "completed", job.error_message  # noqa: S101
            bare = [seconds_of(by_hand) for _ in range(frames)]
            if number:  # the first fills the cache
                engine.append(median(bare) * 1000)
                whole.append(spent * 1000)
        over = [all_ - own for all_, own in zip(whole, engine, strict=True)]
        return [
            [f"a frame of a scene with {textures} textures, ms", spread(whole, 1)],
            ["  the same engine by hand", spread(engine, 1)],
            ["  overhead", spread(over, 1)],
        ]

    def lines(self, rounds: int) -> list[list[str]]:
        from rendering.engines import ENGINES
        from rendering.runner import Limits, run

        def through(on_line: Callable[[str], Any]) -> None:
            run(
                ["sh", "-c", FLOOD],
                cwd=self.scratch,
                token=os.urandom(8).hex(),
                on_line=on_line,
                limits=limits,
            )

        limits = Limits(wall=60, idle=60)
        bare, kept, read = [], [], []
        for _ in range(rounds):
            bare.append(seconds_of(lambda: subprocess.run(["sh", "-c", FLOOD], stdout=subprocess.PIPE)))
            kept.append(seconds_of(lambda: through(str.strip)))
            read.append(seconds_of(lambda: through(ENGINES["blender"].read_line)))
        return [
            [f"{LINES:,} lines, s: read bare", spread(bare, 2)],
            ["  through the runner", spread(kept, 2)],
            ["  and the engine's parser", spread(read, 2)],
        ]

    def fetching(self, count: int, rounds: int) -> list[list[str]]:
        from drives.storage import blob_storage

        files = [(f"/a/{file.name}", file.blob) for file in self.put_files("/many", count)]
        some = files[:500]
        single, cold, warm = [], [], []
        numbers = itertools.count()

        def place() -> Path:
            return self.scratch / f"layout-{next(numbers)}"

        def copy_bare() -> None:
            root = place()
            root.mkdir()
            for _path, blob in files:
                blob_storage().copy_to(blob.storage_key, root / blob.sha256)

        for _ in range(rounds):
            single.append(seconds_of(copy_bare))
            shutil.rmtree(self.node.cache.folder, ignore_errors=True)
            cold.append(seconds_of(lambda: self.node.cache.lay_out(files, place())))
            warm.append(seconds_of(lambda: self.node.cache.lay_out(some, place())) * 1000)
        return [
            [f"{count:,} files of 20 KiB, s: copied bare, one by one", spread(single, 2)],
            ["  fetched into an empty cache and laid out", spread(cold, 2)],
            ["500 of them laid out from a warm cache, ms", spread(warm, 1)],
        ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rendering.nodes", description=__doc__)
    var = Path(os.environ.get("YUNTU_VAR") or REPOSITORY / "var")
    parser.add_argument("--scratch", type=Path, default=var / "bench", help="where everything is kept")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=20, help="of a job")
    parser.add_argument("--textures", type=int, default=500)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--size", default="1920x1080", help="of a picture")
    arguments = parser.parse_args()
    platform = Platform(arguments.scratch.resolve())
    load = [os.getloadavg()[0]]
    bench: Bench | None = None
    try:
        platform.start()
        os.environ.update(platform.env)
        import django

        django.setup()
        width, height = map(int, arguments.size.split("x"))
        bench = Bench(platform.var, (width, height))
        rows = bench.lines(arguments.rounds)
        rows += bench.fetching(arguments.files, arguments.rounds)
        rows += bench.overhead(arguments.textures, arguments.frames, arguments.rounds)
    finally:
        if bench is not None:
            bench.node.stop()
            # The last words of its jobs wait for their turns, and would find no Redis.
            for thread in threading.enumerate():
                if thread is bench.node.reporter or thread.name.startswith("last-word"):
                    thread.join()
        platform.stop()
    load.append(os.getloadavg()[0])
    print(aligned([["", "median (least-most)"], *rows]))
    say_load(load)


if __name__ == "__main__":
    main()
