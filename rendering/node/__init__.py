"""A render node: a Celery worker whose slots claim frames, fetch what they need and run the engine."""

from rendering.node.node import NameInUse, Node, current

__all__ = ["NameInUse", "Node", "current"]
