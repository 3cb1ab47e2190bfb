from django.utils.translation import gettext_lazy as _

from common.errors import Conflict, DomainError, Invalid


class FrameRangeInvalid(Invalid):
    code, text = "frame_range_invalid", _("The frame range is not valid.")


class FrameRangeTooLong(Invalid):
    code, text = "frame_range_too_long", _("The frame range is longer than %(limit)s frames.")


class SceneMissing(Invalid):
    code, text = "scene_missing", _("The task has no scene file in your drive.")


class NotAScene(Invalid):
    code, text = "not_a_scene", _("The file is not a scene that can be read.")


class EngineUnavailable(Invalid):
    """Data: available, the engines there are with their versions; scene_version, where the scene is newer."""

    code, text = "engine_unavailable", _("No render node offers this engine in this version.")


class NoNodeFits(Invalid):
    """Data: nodes, what those with the engine have: cores, memory_size, tags."""

    code, text = (
        "no_node_fits",
        _("No render node has the cores, the memory and the tags that are asked for."),
    )


class NoCamera(Invalid):
    """Data: unknown, and available, the cameras of the scene."""

    code, text = "no_camera", _("The scene has no such camera.")


class NoLayer(Invalid):
    """Data: unknown, and available, the render layers of the scene."""

    code, text = "no_layer", _("The scene has no such render layer.")


class InspectionFailed(Invalid):
    """The pre-flight could not read the scene; its code takes the place of this one."""

    code, text = "inspection_failed", _("The scene could not be inspected.")
    codes = (
        "inspection_failed", "inspection_timeout", "not_a_scene", "scene_too_new", "scene_too_large", "scene_truncated",
        "scene_damaged", "wrong_suffix", "bad_request",
    )  # fmt: skip

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message or None, field="scene_file")
        self.code = code


class MissingAssets(DomainError):
    """Data: missing, what the scene names and the drive does not hold."""

    code, status, text = "missing_assets", 422, _("Files that the scene needs are missing.")


class ReferenceCycle(Invalid):
    """Data: cycle, the paths of scenes of which each references the next, the last being the first."""

    code, text = "reference_cycle", _("Scenes reference each other in a circle.")


class ReferencesTooDeep(Invalid):
    code, text = "references_too_deep", _("Scenes reference each other too many levels deep.")


class AssetUnknown(Invalid):
    code, text = "asset_unknown", _("The scene names no such file: %(name)s")


class AssetPathMissing(Invalid):
    code, text = "asset_path_missing", _("There is no such file in the drive: %(path)s")


class LateResult(Conflict):
    """The attempt has lost its lease, or the job was paused or cancelled; its result counts no more."""

    code, text = "late_result", _("This attempt is over.")


class PausedByOperator(Conflict):
    """Data: status, allowed."""

    code, text = "paused_by_operator", _("An operator has paused this task; only an operator can resume it.")


class NothingToRender(Conflict):
    """No frame of those asked for has failed, or all of them are there already."""

    code, text = "nothing_to_render", _("There is nothing to render among these frames.")


class DependencyCycle(Conflict):
    code, text = "dependency_cycle", _("The tasks would wait for each other for ever.")


class JobRunning(Conflict):
    """Data: status, allowed."""

    code, text = "job_running", _("A task that is rendering must be cancelled before it is deleted.")


class ReportPending(Conflict):
    code, text = "report_pending", _("The scene is still being read; ask again in a moment.")
