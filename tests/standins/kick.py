"""A stand-in for Arnold's `kick`, installed as bin/kick of a folder of Arnold (`installed.py`).

It takes the flags that `kick --help` names and no others, needs scenes that are there, and writes real pictures. A line
`# standin NAME VALUE` of a scene says what happens: `behave licence`, `behave crash`, `behave texture`.
"""

import os
import re
import signal
import sys
from pathlib import Path

from tests.standins.images import write_picture

ARGUMENTS = {
    "-i": 1, "-o": 1, "-of": 1, "-ocs": 1, "-r": 2, "-sr": 1, "-rg": 4, "-as": 1, "-c": 1, "-t": 1, "-bs": 1, "-set": 2,
    "-dw": 0, "-dp": 0, "-v": 1, "-nw": 1, "-logfile": 1, "-l": 1, "-nostdin": 0, "-nokeypress": 0, "-sl": 0,
    "-licensecheck": 0, "-av": 0, "--version": 0, "-h": 0, "--help": 0,
}  # fmt: skip
VERSION = "7.3.2.0"


def say(line: str) -> None:
    print(line, flush=True)


def main(words: list[str]) -> int:
    flags: dict[str, list[str]] = {}
    while words:
        flag = words.pop(0)
        if flag not in ARGUMENTS or len(words) < ARGUMENTS[flag]:
            say(f"[kick] unknown or incomplete option: {flag}")
            say("Usage:  kick [options] ...")
            return 1
        flags[flag] = [words.pop(0) for _argument in range(ARGUMENTS[flag])]
    if flags.keys() & {"-av", "--version"}:
        say(f"Arnold {VERSION} [516ade3d] linux x86_64 clang-15.0.7 oiio-2.4.1 2024/02/04 21:52:37")
        return 0
    scene = Path(flags.get("-i", [""])[0])
    say(f"00:00:00   315MB         | Arnold {VERSION}")
    if not scene.is_file():
        say(f"00:00:00   315MB ERROR   |  [ass] can't open {scene}")
        return 1
    text = scene.read_text("utf-8")
    behaviour = dict(re.findall(r"^# standin (\w+) (.+)$", text, re.MULTILINE)).get("behave", "")
    if behaviour == "licence":
        say(
            "ERROR   |  aborting render because this is a batch render and abort_on_license_fail option is enabled"
        )
        return 1
    if behaviour == "texture":
        say('00:00:01   368MB ERROR   |  [texturesys] wood: Invalid image file "C:/proj/wood.tx": not found')
    if behaviour == "crash":
        say("00:00:02   400MB ERROR   | signal caught: SIGABRT -- Abnormal process abort")
        os.kill(os.getpid(), signal.SIGABRT)
    size = flags.get("-r") or [
        value for _name, value in re.findall(r"^ (xres|yres) (\d+)", text, re.MULTILINE)
    ]
    camera = flags.get("-c", ["its own"])[0]
    for percent in (0, 50, 100):
        say(f"00:00:08   512MB         |   {percent:3d}% done - 25 rays/pixel")
    path = Path(flags["-o"][0])
    write_picture(path, int(size[0]), int(size[1]), f"{scene.name} {camera}")
    say(f"00:00:09   514MB         |  [driver_{path.suffix[1:]}] writing file `{path}'")
    say("00:00:09   514MB         | render done")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
