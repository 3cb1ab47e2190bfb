"""Render frames of a Blender scene: render_frames.py SPEC.json

Reports progress while Cycles works and each frame once its file is whole; docs/engines.md holds the fields of
SPEC and the lines. Ends with exit code 0 only when every frame was written.
"""

import contextlib
import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # the blender binary does not add it

import blend_scene
import bpy
from blend_progress import Reporter
from blend_scene import FAULT_OF_ENGINE, SceneError, say

MOVIES = {"FFMPEG", "AVI_JPEG", "AVI_RAW"}
FORMATS = {"PNG", "JPEG", "OPEN_EXR", "TIFF"}


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        raise SceneError("bad_request", "usage: render_frames.py SPEC.json")
    try:
        spec = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        frames = [int(number) for number in spec["frames"]]
        path, pattern = Path(spec["scene"]), Path(spec["output_pattern"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SceneError("bad_request", f"{arguments[0]}: {error!r}") from error

    say("openjd_status: loading the scene")
    scene = blend_scene.open_scene(path)
    remap(spec.get("remap") or {})
    if not spec.get("allow_missing"):
        refuse_missing_files()
    configure(scene, spec)

    reporter = Reporter(layers=sum(layer.use for layer in scene.view_layers), frames=len(frames))
    bpy.app.handlers.render_stats.append(reporter.on_statistics)
    say("yuntu_loaded")
    for number in frames:
        reporter.begin(number)
        target = output_path(pattern, number, scene.render.file_extension)
        render(scene, number, target)
        reporter.end()
        say(f"yuntu_frame: {number} {target}")


def remap(local: dict[str, str]) -> None:
    """Point what the scene names to where it lies here; absolute names are meant inside libraries, too."""
    for library in list(bpy.data.libraries):
        here = local.get(library.filepath) or blend_scene.bundled_library(library.filepath)
        if library.parent is None and here and here != library.filepath:
            library.filepath = here
            library.reload()

    def replacement(owner: Any, path: str) -> str | None:
        is_ours = owner.library is None and not isinstance(owner, bpy.types.Library)
        return local.get(path) if is_ours or not path.startswith("//") else None

    blend_scene.visit_paths(replacement)


def refuse_missing_files() -> None:
    """Raise SceneError with the names of files that a right picture needs: Blender would paint them pink."""
    named = blend_scene.named_files()
    users = blend_scene.users_of([owner for owner, _ in named])
    missing: dict[str, list[str]] = {}
    for owner, path in named:
        kind = blend_scene.kind_of(owner)
        is_needed = users[owner] and kind not in blend_scene.OPTIONAL_KINDS
        if is_needed and blend_scene.is_missing(owner, path):
            code = "missing_texture" if kind in blend_scene.TEXTURE_KINDS else f"missing_{kind}"
            missing.setdefault(code, []).append(path)
    # A library that is not there hides the textures it would need, so it is named first.
    for code in sorted(missing, key=lambda code: (code != "missing_library", code)):
        raise SceneError(code, json.dumps(sorted(set(missing[code])), ensure_ascii=False))


def configure(scene: Any, spec: dict[str, Any]) -> None:
    """Apply the wishes of SPEC to `scene`; raises SceneError for a camera or renderer that is not there."""
    render = scene.render
    set_renderer(scene, spec.get("renderer") or render.engine)
    if samples := spec.get("samples"):
        scene.cycles.samples = int(samples)
    if spec.get("width") or spec.get("height"):
        width, height = render.resolution_x, render.resolution_y
        render.resolution_x = int(spec.get("width") or max(1, width * spec["height"] // height))
        render.resolution_y = int(spec.get("height") or max(1, height * spec["width"] // width))
        render.resolution_percentage = 100
    if threads := spec.get("threads"):
        render.threads_mode, render.threads = "FIXED", int(threads)

    image = render.image_settings
    wanted = spec.get("format") or ("PNG" if image.file_format in MOVIES else image.file_format)
    if spec.get("format") and wanted not in FORMATS:
        raise SceneError("bad_request", f"format {wanted} is none of {', '.join(sorted(FORMATS))}")
    if wanted != image.file_format:
        if hasattr(image, "media_type"):  # from Blender 5.0 on a format must belong to it
            image.media_type = "IMAGE"
        image.file_format = wanted
    render.use_file_extension = False  # the name is ours to the last letter
    render.use_overwrite, render.use_placeholder = True, False
    if render.use_border and render.use_crop_to_border:
        # The size of a picture is what report and task say; outside of its region it stays empty.
        say("openjd_status: the picture keeps its size, it is not cropped to its region")
        render.use_crop_to_border = False
    render.use_stamp_filename = render.use_stamp_hostname = False  # metadata would tell about this machine

    if name := spec.get("camera"):
        camera = scene.objects.get(name)
        if camera is None or camera.type != "CAMERA":
            raise SceneError("no_camera", f"the scene has no camera named {name}")
        scene.camera = camera
        for marker in scene.timeline_markers:  # those switch cameras over time
            marker.camera = None
    if name := spec.get("layer"):
        if name not in scene.view_layers:
            raise SceneError("no_layer", f"the scene has no view layer named {name}")
        for layer in scene.view_layers:
            layer.use = layer.name == name
    mute_file_outputs()


def set_renderer(scene: Any, name: str) -> None:
    """Choose Cycles on the CPU, or what the scene asks for where this machine can do it."""
    render = scene.render
    if name.startswith("BLENDER_") and not has_gpu():
        # EEVEE and Workbench draw with OpenGL; in software that takes about a minute a frame.
        say(f"openjd_status: {name} needs a GPU and there is none, rendering with Cycles")
        if hasattr(scene.eevee, "taa_render_samples"):
            scene.cycles.samples = scene.eevee.taa_render_samples
        name = "CYCLES"
    # Called BLENDER_EEVEE_NEXT in 4.2 to 4.5.
    names = ["BLENDER_EEVEE", "BLENDER_EEVEE_NEXT"] if name.startswith("BLENDER_EEVEE") else [name]
    for candidate in names:
        with contextlib.suppress(TypeError):
            render.engine = candidate
            break
    else:
        raise SceneError("no_renderer", f"the renderer {name or 'of the scene'} is not installed here")
    if name == "CYCLES":
        scene.cycles.device = "CPU"


def has_strips(scene: Any) -> bool:
    """True where the picture comes from the sequencer, which needs no camera."""
    editor = scene.sequence_editor if scene.render.use_sequencer else None
    return (
        editor is not None
        and len(editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all) > 0
    )


def has_gpu() -> bool:
    return any(Path("/dev").glob("dri/renderD*")) or any(Path("/dev").glob("nvidia[0-9]*"))


def mute_file_outputs() -> None:
    """Silence compositor nodes, which write files where the scene likes: only our own output is kept."""
    own_trees = (getattr(scene, "node_tree", None) for scene in bpy.data.scenes)  # before Blender 5.0
    for node in (node for tree in (*bpy.data.node_groups, *own_trees) if tree for node in tree.nodes):
        if node.bl_idname == "CompositorNodeOutputFile" and not node.mute:
            node.mute = True
            say(f"openjd_status: file output node {blend_scene.one_line(node.name)} is left out")


def output_path(pattern: Path, number: int, extension: str) -> Path:
    """The file of frame `number`: it takes the place of the last run of #; the format gives the extension."""
    name = pattern.name
    runs = list(re.finditer("#+", name))
    if runs:
        start, end = runs[-1].span()
        name = f"{name[:start]}{'-' if number < 0 else ''}{abs(number):0{end - start}d}{name[end:]}"
    return pattern.with_name(name if name.endswith(extension) else name + extension)


def render(scene: Any, number: int, target: Path) -> None:
    """Render one frame to `target`, which appears only when it is whole."""
    scene.frame_set(number)
    if scene.camera is None and not has_strips(scene):
        raise SceneError("no_camera", "the scene has no active camera")
    partial = target.with_name(f".partial-{target.name}")
    # From Blender 5.0 on, braces in a path are a template of its own.
    braced = bpy.app.version >= (5, 0, 0)
    path = str(partial)
    scene.render.filepath = path.replace("{", "{{").replace("}", "}}") if braced else path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        bpy.ops.render.render(write_still=True)
        if not partial.stat().st_size:
            raise SceneError("frame_not_written", f"frame {number} is empty", FAULT_OF_ENGINE)
        partial.replace(target)
    except RuntimeError as error:
        is_memory = re.search("out of .*memory|bad_alloc", str(error), re.IGNORECASE)
        code = "out_of_memory" if is_memory else "render_failed"
        raise SceneError(code, f"frame {number}: {error}", FAULT_OF_ENGINE) from error
    except OSError as error:
        raise SceneError("frame_not_written", f"frame {number}: {error.strerror}", FAULT_OF_ENGINE) from error


if __name__ == "__main__":
    blend_scene.run(main)
