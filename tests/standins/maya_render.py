"""A stand-in for Maya's `Render`: installed as bin/Render of a folder maya2025 (`installed.py`).

It takes the flags that the documentation names for each renderer and no others, needs a scene that is there, and
writes real pictures under the names that Maya gives them. What it prints was seen in logs of the real one; the words
on a flag it does not know are its own, since they stand nowhere. Flags:
https://help.autodesk.com/cloudhelp/2019/ENU/Maya-Rendering/files/GUID-0280AB86-8ABE-4F75-B1B9-D5B7DBB7E25A.htm,
GUID-D9461014-D153-4F7F-8825-729556126399.htm; `Render -r arnold -help`.

A line `//standin NAME VALUE` of a scene of text says what happens: `behave licence` and the like, `cameras a,b`,
`layers a,b`, `renderer arnold`, `size 64x36`, `texture C:/name`, `slow 0.2`.
"""

import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from tests.standins.images import write_picture

COMMON = {
    "-r", "-renderer", "-proj", "-log", "-rd", "-im", "-of", "-fnc", "-s", "-e", "-b", "-pad", "-rl", "-rp", "-cam",
    "-x", "-y", "-percentRes", "-preRender", "-postRender", "-preLayer", "-postLayer", "-preFrame", "-postFrame",
    "-rsp", "-rsa", "-rst", "-skipExistingFrames",
}  # fmt: skip
OF_RENDERERS = {
    "file": set(),
    "sw": {"-n", "-eaa", "-ert", "-mb", "-reg", "-ard", "-par"},
    "hw2": {"-ehl", "-mb", "-ard", "-par"},
    "arnold": {"-rt", "-lic", "-ard", "-reg", "-ai:lve", "-ai:alf", "-ai:aerr", "-ai:threads", "-ai:ltc"},
    "vray": {"-threads", "-reg", "-camera"},
    "redshift": {"-gpu", "-reg", "-logLevel"},
}
FORMATS = {
    "arnold": {"exr", "jpeg", "png", "tif", "deepexr", "maya"},
    "": {"exr", "png", "jpg", "tif", "tga", "iff", "bmp"},
}
SUFFIXES = {"jpeg": "jpg", "deepexr": "exr", "maya": "iff"}


def say(line: str) -> None:
    print(line, flush=True)


def end(code: int) -> NoReturn:
    sys.exit(code)


def usage(problem: str) -> NoReturn:
    say(f"Error: {problem}")
    say("Usage: Render [options] filename")
    say('       where "filename" is a Maya ASCII or a Maya binary file.')
    sys.exit(1)


def parse(arguments: list[str]) -> tuple[dict[str, str], Path]:
    *words, scene = arguments or [""]
    if len(words) % 2 or not scene or scene.startswith("-"):
        usage("the number of arguments is odd")
    flags = dict(zip(words[::2], words[1::2], strict=True))
    renderer = flags.get("-r") or flags.get("-renderer") or "file"
    descriptions = Path(os.environ["MAYA_LOCATION"]) / "bin" / "rendererDesc"
    others = [Path(folder) for folder in os.environ.get("MAYA_RENDER_DESC_PATH", "").split(":") if folder]
    if not any((folder / f"{renderer}Renderer.xml").is_file() for folder in [descriptions, *others]):
        usage(f"cannot find the renderer {renderer}")
    for flag in flags:
        if flag not in COMMON | OF_RENDERERS[renderer]:
            usage(f"{flag} is no flag of {renderer}")
    wanted = flags.get("-of")
    if wanted and wanted not in FORMATS.get(renderer, FORMATS[""]):
        usage(f"{wanted} is no format of {renderer}")
    if flags.get("-fnc") not in (None, "3", "name.#.ext"):
        usage("this stand-in knows one way to name files")
    return flags, Path(scene)


def wishes_of(scene: Path) -> dict[str, str]:
    """The lines that are meant for this program."""
    text = scene.read_bytes().decode("utf-8", "replace")
    return dict(re.findall(r"^//standin (\w+) (.+)$", text, re.MULTILINE))


def mapped(named: str) -> Path:
    """Where a file is that the scene names so, after the dirmap lines of userSetup.mel."""
    setup = Path(os.environ.get("MAYA_SCRIPT_PATH", "/nowhere")) / "userSetup.mel"
    text = setup.read_text("utf-8") if setup.is_file() else ""
    for source, target in re.findall(r'^dirmap -m "(.*)" "(.*)";$', text, re.MULTILINE):
        if named.startswith(source + "/"):
            return Path(target + named[len(source) :])
    return Path(named)


def misbehave(kind: str) -> None:
    if kind == "licence":
        say(
            "00:00:01   512MB ERROR   |  aborting render because the abort_on_license_fail option was enabled"
        )
        say("Error: [mtoa] Failed batch render")
        end(1)
    if kind == "vray_licence":
        say("[V-Ray] Could not obtain a license (-88).")
        time.sleep(3600)
    if kind == "redshift_licence":
        say("[Redshift] License error: (RLM) All licenses in use (-22)")
        end(0)
    if kind == "memory":
        say("terminate called after throwing an instance of 'std::bad_alloc'")
        os.kill(os.getpid(), signal.SIGABRT)
    if kind == "crash":
        say("maya encountered a fatal error")
        say("Signal: 11 (Unknown Signal)")
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "hang":
        time.sleep(3600)
    if kind == "failed":
        say("Error: line 36: Scene shot.ma failed to render.")
        end(210)
    if kind == "nothing":
        end(0)
    if kind == "mtoa":
        say('Error: Plug-in, "mtoa", was not found on MAYA_PLUG_IN_PATH.')
        end(210)
    if kind == "plugin":
        say('Error: file: shot.ma line 9: Plug-in, "xgenToolkit", was not found on MAYA_PLUG_IN_PATH.')


def main() -> None:
    flags, scene = parse(sys.argv[1:])
    if not scene.is_file():
        say(f"Error: Cannot open file {scene}")
        end(210)
    wishes = wishes_of(scene)
    renderer = flags.get("-r", "file")
    renderer = wishes.get("renderer", "sw") if renderer == "file" else renderer
    say(f"Starting {os.environ['MAYA_LOCATION']}: {' '.join(sys.argv[1:])}")
    for name in (
        "MAYA_APP_DIR",
        "MAYA_SKIP_USERSETUP_PY",
        "ARNOLD_FORCE_ABORT_ON_LICENSE_FAIL",
        "solidangle_LICENSE",
    ):
        say(f"{name}={os.environ.get(name, '')}")
    cameras = wishes.get("cameras", "perspShape").split(",")
    if "-cam" in flags:
        if flags["-cam"] not in cameras:
            say(f"Error: makeCameraRenderable.mel line 34: Camera {flags['-cam']} does not exist.")
            end(210)
        cameras = [flags["-cam"]]
    layers = wishes.get("layers", "").split(",")
    layers = [flags["-rl"]] if "-rl" in flags else layers
    behaviour = wishes.get("behave", "")
    misbehave(behaviour)
    for name in re.findall(r'"(C:/[^"]+)"', scene.read_text("utf-8")):
        if not mapped(name).is_file():
            say(
                f'00:00:01   315MB ERROR   |  [texturesys] shader:file1: Invalid image file "{name}": not found'
            )
    width, height = map(int, wishes.get("size", "96x54").split("x"))
    width, height = int(flags.get("-x", width)), int(flags.get("-y", height))
    if behaviour == "size":
        width += 2
    suffix = flags.get("-of", "iff")
    suffix = SUFFIXES.get(suffix, suffix)
    images = Path(flags.get("-rd") or Path(flags.get("-proj", ".")) / "images")
    first, last, step = (int(float(flags.get(name, 1))) for name in ("-s", "-e", "-b"))
    for number in range(first, last + 1, step):
        for layer in layers:
            for camera in cameras:
                percents(renderer, float(wishes.get("slow", 0)), number)
                padding = int(flags.get("-pad", 1))
                # Names with several layers or cameras get folders of theirs.
                folder = images / layer / (camera if len(cameras) > 1 else "")
                shown = f"{'-' if number < 0 else ''}{abs(number):0{padding}d}"
                path = folder / f"{flags.get('-im', scene.stem)}.{shown}.{suffix}"
                write_picture(path, width, height, f"{scene.name} {number} {layer} {camera} {renderer}")
                if behaviour == "cut":
                    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
                if renderer == "arnold":
                    say(f"00:00:09   514MB         |  [driver_{suffix}] writing file `{path}'")
                    say("00:00:09   514MB         | render done")
    say(f"Scene {scene} completed.")
    end(0)


def percents(renderer: str, seconds: float, number: int) -> None:
    for percent in (0, 50, 100):
        if renderer == "arnold":
            say(f"00:00:08   512MB         |   {percent:3d}% done - 25 rays/pixel")
        elif renderer == "vray":
            say(f"V-Ray: {percent}%")
        elif renderer == "redshift":
            say(f"[Redshift] Block {percent // 50 + 1}/3 (7,4) rendered by GPU 0 in 2ms")
        else:
            say(f"// Percentage of rendering done: {percent} (images/{number}.iff) //")
        time.sleep(seconds)


if __name__ == "__main__":
    main()
