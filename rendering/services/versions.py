"""Which version of its engine renders a job, and whether there is a node for it."""

from collections.abc import Callable
from typing import Any

from rendering.engines import engine_for
from rendering.engines.base import fitting_version, numbers_of
from rendering.errors import EngineUnavailable, NoNodeFits
from rendering.models import RenderJob, RenderNode
from rendering.selectors import offered_engines


def version_for(job: RenderJob, data: dict[str, Any] | None = None) -> str:
    """The version that renders the job, of those that nodes have.

    The one that was asked for (`maya_version` is the desktop client's word for it), or the latest of the release that
    was; else the scene's own, or the next after it; else the newest. `data` is the scene's report, where it is in.
    Raises EngineUnavailable, also for a scene that was saved by a later release where the engine opens no such scenes.
    """
    offered = offered_engines()
    engine = engine_for(job.engine)
    if engine is None or job.engine not in offered:
        raise EngineUnavailable(field="engine", available=offered)
    versions = sorted(offered[job.engine], key=numbers_of)
    available = {job.engine: versions}
    wanted = job.engine_version or (job.maya_version if job.engine == "maya" else "")
    field = "engine_version" if job.engine_version else "maya_version"
    own = version_of_scene(job.engine, data or {})
    if wanted:
        served = [version for version in versions if is_of_release(version, wanted)]
        if not served:
            raise EngineUnavailable(field=field, available=available)
        version = wanted if wanted in served else served[-1]
    else:
        field = "scene_file"
        version = fitting_version(own, versions) or next(reversed(versions), "")
    if not engine.opens_newer_scenes and numbers_of(own)[:1] > numbers_of(version)[:1]:
        raise EngineUnavailable(field=field, available=available, scene_version=own)
    return version


def is_of_release(version: str, release: str) -> bool:
    """Whether `version` is `release`, or one of that release: 2024.2 of 2024."""
    wanted = numbers_of(release)
    return version == release or (bool(wanted) and numbers_of(version)[: len(wanted)] == wanted)


def version_of_scene(engine: str, data: dict[str, Any]) -> str:
    """The release that saved the scene, as its report has it: `[5, 0, 119]`, "2023"."""
    said = data.get(f"{engine}_version") or ""
    return ".".join(map(str, said[:2])) if isinstance(said, list) else str(said)


def check_nodes(job: RenderJob, version: str) -> None:
    """Raises NoNodeFits, where no node in service has what the job needs."""
    if not (job.min_cores or job.min_memory_size or job.node_tags):
        return
    nodes = RenderNode.objects.filter(state=RenderNode.State.ENABLED, engines__has_key=job.engine)
    found = [node for node in nodes if not version or version in node.engines[job.engine]]
    asked: dict[str, Callable[[RenderNode], bool]] = {
        "min_cores": lambda node: node.cores >= job.min_cores,
        "min_memory_size": lambda node: node.memory_size >= job.min_memory_size,
        "node_tags": lambda node: set(job.node_tags) <= set(node.tags),
    }
    if not any(all(fits(node) for fits in asked.values()) for node in found):
        # Where each can be had, but not together, any of them may give way.
        alone = [field for field, fits in asked.items() if not any(map(fits, found))]
        have = {(node.cores, node.memory_size, tuple(sorted(node.tags))) for node in found}
        names = ("cores", "memory_size", "tags")
        raise NoNodeFits(
            field=alone[0] if alone else "min_cores",
            nodes=[dict(zip(names, each, strict=True)) for each in sorted(have)],
        )
