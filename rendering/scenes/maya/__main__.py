"""Say what a Maya scene is and which files it needs: python -m rendering.scenes.maya SCENE OUT.json

Writes one JSON object (docs/engines.md). A scene that cannot be read ends with a last line
`yuntu_error: CODE message` and exit code 2. Address space and CPU time of the process are limited by itself: the
scene is a stranger's.
"""

import json
import resource
import sys
from pathlib import Path

if __package__ in (None, ""):  # started by its path, from any folder
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from rendering.scenes.errors import SceneError
from rendering.scenes.maya.read import read_scene

FAULT_OF_INPUT = 2
MEMORY = 1 << 30  # bytes besides the scene itself, which is mapped
CPU_SECONDS = 600


def main(arguments: list[str]) -> int:
    try:
        if len(arguments) != 2:
            raise SceneError("bad_request", "usage: python -m rendering.scenes.maya SCENE OUT.json")
        scene, out = map(Path, arguments)
        limit_this_process(scene)
        report = read_scene(scene)
        out.write_text(json.dumps(report, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    except SceneError as error:
        return failed(error.code, str(error))
    except MemoryError:
        return failed("scene_too_large", "reading the scene takes more memory than is allowed")
    except OSError as error:
        return failed("bad_request", f"{error.filename}: {error.strerror}")
    return 0


def limit_this_process(scene: Path) -> None:
    """Raises OSError where the scene is not there."""
    size = scene.stat().st_size
    lower(resource.RLIMIT_AS, MEMORY + size)
    lower(resource.RLIMIT_CPU, CPU_SECONDS)
    lower(resource.RLIMIT_CORE, 0)


def lower(kind: int, limit: int) -> None:
    _soft, hard = resource.getrlimit(kind)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (limit, limit))


def failed(code: str, message: str) -> int:
    sys.stdout.write(f"yuntu_error: {code} {' '.join(message.split())}\n")
    sys.stdout.flush()
    return FAULT_OF_INPUT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
