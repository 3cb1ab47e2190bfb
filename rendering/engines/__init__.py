"""Engines: small adapters between jobs and the programs that render.

Writing one: docs/engines.md.
"""

from rendering.engines.base import Engine, Failure, Line, RenderSpec
from rendering.engines.blender.adapter import BlenderEngine

ENGINES: dict[str, Engine] = {engine.name: engine for engine in [BlenderEngine()]}


def engine_for(name: str) -> Engine | None:
    return ENGINES.get(name)


def engine_of_file(file_name: str) -> str:
    """The name of the engine that renders files of this ending, or an empty text."""
    for engine in ENGINES.values():
        if file_name.lower().endswith(engine.suffixes):
            return engine.name
    return ""


__all__ = ["ENGINES", "Engine", "Failure", "Line", "RenderSpec", "engine_for", "engine_of_file"]
