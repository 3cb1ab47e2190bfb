"""Maya: its program `Render`, with the renderers that are installed for it.

Flags: https://help.autodesk.com/cloudhelp/2019/ENU/Maya-Rendering/files/GUID-0280AB86-8ABE-4F75-B1B9-D5B7DBB7E25A.htm
(common), GUID-D9461014-D153-4F7F-8825-729556126399.htm (Maya's own), `Render -r arnold -help` for Arnold's.
"""

import re
from pathlib import Path

from rendering.engines.base import Engine, RenderSpec, numbers_of
from rendering.engines.driven.log_lines import PROGRESS, error_lines
from rendering.engines.driven.plan import Command, runs_of, write_plan
from rendering.engines.environment import passed_on
from rendering.engines.maya import paths
from rendering.engines.maya.installation import Installation, installations
from rendering.scenes import maya_command

RENDERERS = {
    "arnold": "arnold",
    "vray": "vray",
    "redshift": "redshift",
    "mayasoftware": "sw",
    "software": "sw",
    "sw": "sw",
    "mayahardware": "hw2",
    "mayahardware2": "hw2",
    "mayahardware20": "hw2",
    "hardware": "hw2",
    "hw2": "hw2",
}
"""`Render -r` by what people and scenes call it, lower case without spaces and punctuation."""
THREADS = {"arnold": "-ai:threads", "vray": "-threads", "sw": "-n"}
FORMATS = {
    "PNG": "png",
    "JPEG": "jpg",
    "JPG": "jpg",
    "EXR": "exr",
    "OPEN_EXR": "exr",
    "TIFF": "tif",
    "TGA": "tga",
}
ARNOLD_FORMATS = {"jpg": "jpeg"}
REQUIRES = re.compile(rb'^requires maya "(\d{4})', re.MULTILINE)
HEAD = 1 << 16  # bytes of a scene within which it says its version


class MayaEngine(Engine):
    name = "maya"
    suffixes = (".ma", ".mb")
    inspects_anywhere = True
    opens_newer_scenes = False
    tells_frames = False

    def versions(self) -> dict[str, list[str]]:
        return {found.release: found.renderers for found in installations()}

    def looks_like_scene(self, head: bytes) -> bool:
        # ASCII, and IFF of 32 and of 64 bits.
        return head.startswith((b"//Maya ASCII", b"FOR4", b"FOR8"))

    def inspect_command(self, scene: Path, report: Path) -> list[str]:
        return maya_command(scene, report)

    def render_command(self, spec: RenderSpec, work_folder: Path) -> list[str]:
        installation = self.installation(spec.version)
        refusal = refusal_of(spec, installation)
        commands = []
        if installation is not None and refusal is None:
            commands = [
                Command(
                    command_line(spec, installation, first, last, step), list(range(first, last + 1, step))
                )
                for first, last, step in runs_of(spec.frames)
            ]
        return write_plan(
            work_folder,
            commands=commands,
            output_folder=spec.output_folder,
            progress=PROGRESS,
            errors=error_lines(allow_missing=spec.allow_missing),
            refusal=refusal,
        )

    def environment(self, spec: RenderSpec, work_folder: Path) -> dict[str, str]:
        """Preferences and scripts of the job's own folder alone, English messages, no dialogs, no watermarks."""
        preferences, scripts = work_folder / "maya", work_folder / "maya_scripts"
        preferences.mkdir(exist_ok=True)
        scripts.mkdir(exist_ok=True)
        folders = paths.folder_map(spec.remap, work_folder)
        (scripts / "userSetup.mel").write_text(paths.setup_script(folders), "utf-8")
        path_map = work_folder / "arnold_pathmap.json"
        path_map.write_text(paths.arnold_path_map(folders), "utf-8")
        installation = self.installation(spec.version)
        return {
            **passed_on(),
            "MAYA_APP_DIR": str(preferences),
            "MAYA_SCRIPT_PATH": str(scripts),
            "MAYA_SKIP_USERSETUP_PY": "1",
            "MAYA_UI_LANGUAGE": "en_US",
            "MAYA_DISABLE_CIP": "1",
            "MAYA_DISABLE_CER": "1",
            "MAYA_RENDER_DESC_PATH": ":".join(map(str, installation.descriptions)) if installation else "",
            "ARNOLD_FORCE_ABORT_ON_LICENSE_FAIL": "1",
            "ARNOLD_PATHMAP": str(path_map),
        }

    def installation(self, wanted: str) -> Installation | None:
        """The Maya for a job that wants a version; the latest where none fits, which then says what it cannot do."""
        release = self.version_for(wanted) or self.version_for("")
        return next((found for found in installations() if found.release == release), None)


def renderer_named(text: str) -> str:
    """The name of a renderer for `Render -r`. An unknown one stays as it is; an empty one is the scene's own."""
    plain = re.sub(r"[\W_]", "", text).lower()
    return RENDERERS.get(plain, plain) or "file"


def refusal_of(spec: RenderSpec, installation: Installation | None) -> tuple[str, str] | None:
    """The code and detail of the reason why a run would be pointless, if there is one."""
    if installation is None:
        return "engine_fault", "no Maya is installed on this machine"
    renderer = renderer_named(spec.renderer)
    if renderer != "file" and renderer not in installation.renderers:
        return (
            "no_renderer",
            f"Maya {installation.release} has {', '.join(installation.renderers) or 'no renderer'}",
        )
    with spec.scene.open("rb") as file:
        saved = REQUIRES.search(file.read(HEAD))
    if saved and int(saved[1]) > numbers_of(installation.release)[0]:
        return "scene_too_new", f"saved by Maya {saved[1].decode()}, this is {installation.release}"
    for code, name in (("no_camera", spec.camera), ("no_layer", spec.layer)):
        if name and not paths.is_plain_name(name):
            return code, name
    return None


def command_line(spec: RenderSpec, installation: Installation, first: int, last: int, step: int) -> list[str]:
    """`Render` for one range of frames; only flags that its documentation names for the renderer."""
    renderer = renderer_named(spec.renderer)
    root = spec.project or spec.scene.parent
    wishes: list[tuple[str, object]] = [
        ("-r", renderer),
        ("-proj", paths.project_of(spec.scene, root)),
        ("-s", first),
        ("-e", last),
        ("-b", step),
        ("-rd", spec.output_folder),
        ("-im", re.sub(r"[^\w.-]", "_", spec.scene.stem)),
        ("-fnc", "name.#.ext"),
        ("-pad", 4),
    ]
    if file_format := FORMATS.get(spec.output_format.upper()):
        wishes.append(
            ("-of", ARNOLD_FORMATS.get(file_format, file_format) if renderer == "arnold" else file_format)
        )
    if spec.camera:
        wishes.append(("-cam", spec.camera))
    if spec.layer:
        wishes.append(("-rl", spec.layer))
    if spec.width:
        wishes.append(("-x", spec.width))
    if spec.height:
        wishes.append(("-y", spec.height))
    if spec.threads and renderer in THREADS:
        wishes.append((THREADS[renderer], spec.threads))
    if renderer == "arnold":
        # 2 tells of textures and progress; without it Arnold says nothing at all.
        wishes += [("-ai:lve", 2), ("-ai:alf", "true")]
    return [str(installation.program), *(str(word) for pair in wishes for word in pair), str(spec.scene)]
