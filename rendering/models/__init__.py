"""Jobs, frames, attempts, and the nodes that render them."""

from rendering.models.frames import Attempt, Frame, FrameOutput
from rendering.models.jobs import JobDependency, JobFile, JobLog, RenderJob, RenderStep
from rendering.models.nodes import ConcurrencyLimit, NodeBlock, RenderNode, WaitingOwner
from rendering.models.scenes import SceneReport

__all__ = [
    "Attempt",
    "ConcurrencyLimit",
    "Frame",
    "FrameOutput",
    "JobDependency",
    "JobFile",
    "JobLog",
    "NodeBlock",
    "RenderJob",
    "RenderNode",
    "RenderStep",
    "SceneReport",
    "WaitingOwner",
]
