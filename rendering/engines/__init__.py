"""Engines: small adapters between jobs and the programs that render.

Writing one: docs/engines.md.
"""

from django.conf import settings

from rendering.engines.arnold.adapter import ArnoldEngine
from rendering.engines.base import Engine, Line, RenderSpec
from rendering.engines.blender.adapter import BlenderEngine
from rendering.engines.failures import Failure
from rendering.engines.maya.adapter import MayaEngine
from rendering.engines.simulated.adapter import SimulatedEngine

ENGINES: dict[str, Engine] = {
    engine.name: engine for engine in (BlenderEngine(), MayaEngine(), ArnoldEngine(), SimulatedEngine())
}


def engine_for(name: str) -> Engine | None:
    return ENGINES.get(name)


def is_offered(name: str) -> bool:
    """Whether the settings offer an engine. Simulating engines have a switch of their own."""
    engine = ENGINES.get(name)
    if engine is not None and engine.is_simulated:
        return settings.SIMULATED_ENGINE
    return name in settings.RENDER_ENGINES


def engine_of_file(file_name: str) -> str:
    """The name of the engine that renders files of this ending, or an empty text."""
    for engine in ENGINES.values():
        if not engine.is_simulated and file_name.lower().endswith(engine.suffixes):
            return engine.name
    return ""


__all__ = [
    "ENGINES", "Engine", "Failure", "Line", "RenderSpec", "engine_for", "engine_of_file", "is_offered",
]  # fmt: skip
