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
    """Data: available, the engines there are."""

    code, text = "engine_unavailable", _("No render node offers this engine.")


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


class JobRunning(Conflict):
    code, text = "job_running", _("A task that is rendering must be cancelled before it is deleted.")


class ReportPending(Conflict):
    code, text = "report_pending", _("The scene is still being read; ask again in a moment.")
