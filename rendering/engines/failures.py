"""Why runs fail: stable codes, each with words that tell the artist what to do."""

import json
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

MISSING = gettext_noop("Files that the scene needs are missing; upload them, or allow missing files.")
EXPLANATIONS = {
    "missing_texture": MISSING,
    "missing_library": MISSING,
    "missing_cache": MISSING,
    "missing_volume": MISSING,
    "missing_font": MISSING,
    "missing_other": MISSING,
    "not_a_scene": gettext_noop(
        "The file cannot be read as a scene; open it in your program and save it again."
    ),
    "scene_truncated": gettext_noop("The scene is cut off: it was not saved or uploaded whole."),
    "scene_damaged": gettext_noop("The scene is damaged."),
    "scene_too_large": gettext_noop("The scene is larger than scenes may be."),
    "wrong_suffix": gettext_noop(
        "The scene's name says another format than its content: .ma is ASCII, .mb is binary."
    ),
    "scene_too_new": gettext_noop(
        "The scene was saved by a later version than the one that renders it; choose that version, or save the "
        "scene for an earlier one."
    ),
    "no_camera": gettext_noop(
        "There is no such camera to render; make one renderable in the scene and save it."
    ),
    "no_layer": gettext_noop("The scene has no render layer of this name."),
    "no_renderer": gettext_noop(
        "The renderer of the scene is not installed on the render node; choose another or another version."
    ),
    "plugin_missing": gettext_noop(
        "The scene needs a plug-in that the render node does not have; bake or remove what uses it, or ask for it."
    ),
    "licence_unavailable": gettext_noop(
        "No licence of the renderer was free; the frame is tried again later and nothing is charged for this."
    ),
    "out_of_memory": gettext_noop(
        "The memory of the render node was not enough; use smaller textures, less subdivision or a smaller picture."
    ),
    "bad_request": gettext_noop("The render settings of this task do not fit the scene or the renderer."),
    "frame_not_written": gettext_noop("The program ended without writing the picture."),
    "render_failed": gettext_noop("The renderer reported an error."),
    "engine_fault": gettext_noop("The program that renders had a fault of its own."),
    "crashed": gettext_noop(
        "The program crashed; the frame is tried again. If it goes on, the end of the log tells what it was doing."
    ),
    "killed": gettext_noop(
        "The program was killed, most likely for lack of memory; the frame is tried again."
    ),
    "engine_failed": gettext_noop("The program ended with an error; the end of the log may tell which."),
}
"""English texts by code. Codes that an engine names besides these are shown as they are."""
SCENE_FAULTS = {
    *(code for code in EXPLANATIONS if code.startswith("missing_")),
    "bad_request", "no_camera", "no_layer", "not_a_scene", "scene_too_new",
}  # fmt: skip
"""Codes of failures that the scene will have on any node. After others, another node may have the plug-in or the
memory.
"""
CRASHES = {4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 11: "SIGSEGV"}
KILLS = {9: "SIGKILL", 15: "SIGTERM"}


@dataclass(frozen=True)
class Failure:
    """Why a run failed: a stable code, words for the artist, and whether trying again can help."""

    code: str
    message: str
    is_permanent: bool = False


def named(code: str, detail: str, *, is_permanent: bool) -> Failure:
    """The failure a program named. `detail` is its own text, or a JSON list of paths."""
    detail = listed(detail)
    explanation = _(EXPLANATIONS[code]) if code in EXPLANATIONS else ""
    words = " — ".join(part for part in (explanation, detail) if part) or code
    return Failure(code, words, is_permanent=is_permanent or code in SCENE_FAULTS)


def of_exit(exit_code: int) -> Failure:
    """The failure for an exit code that nothing else explains: a signal, negative as the runner has it or 128 plus
    the signal as shells and drivers have it.
    """
    signal = -exit_code if exit_code < 0 else exit_code - 128
    if signal in KILLS:
        return named("killed", KILLS[signal], is_permanent=False)
    if exit_code < 0 or signal in CRASHES:
        return named("crashed", CRASHES.get(signal, str(signal)), is_permanent=False)
    detail = _("exit code %(number)s") % {"number": exit_code}
    return named("engine_failed", detail, is_permanent=False)


def listed(text: str) -> str:
    """The paths of a JSON list as text for people; any other text unchanged."""
    try:
        paths = json.loads(text)
    except ValueError:
        return text
    return ", ".join(map(str, paths)) if isinstance(paths, list) else text
