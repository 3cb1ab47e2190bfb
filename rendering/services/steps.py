"""The steps of a job: each camera with each render layer that was asked for."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

from drives.errors import BadName
from drives.paths import MAX_NAME_BYTES, clean_name
from rendering.errors import NoCamera, NoLayer
from rendering.models import RenderJob, RenderStep


@dataclass(frozen=True)
class StepPlan:
    """A step as it will be made; an empty camera or layer means what the scene says."""

    name: str
    camera: str = ""
    layer: str = ""


def steps_of(job: RenderJob) -> list[StepPlan]:
    """Every camera with every layer of the job; the one step `main` where it names none.

    A step's name is also that of its folder: letters that no file system takes are left out, and no two are alike.
    """
    if not job.cameras and not job.layers:
        return [StepPlan(RenderStep.MAIN)]
    steps: list[StepPlan] = []
    taken = {RenderStep.MAIN}
    for camera, layer in product(job.cameras or [""], job.layers or [""]):
        plain = "_".join(part for part in (folder_name(camera), folder_name(layer)) if part)
        base = folder_name(plain) or "step"
        name, number = base, 1
        while name.casefold() in taken:
            number += 1
            name = f"{base} ({number})"
        taken.add(name.casefold())
        steps.append(StepPlan(name, camera, layer))
    return steps


def folder_name(text: str) -> str:
    """What of a name every file system takes, with room for a number; maybe nothing."""
    kept = (letter for letter in unicodedata.normalize("NFC", text) if letter not in '/\\:*?"<>|')
    words = "".join(letter if letter.isprintable() else " " for letter in kept).split()
    name = " ".join(words).encode()[: MAX_NAME_BYTES - 20].decode(errors="ignore").strip(" .")
    try:
        return clean_name(name) if name else ""
    except BadName:  # a device of Windows
        return f"_{name}"


def check_steps(job: RenderJob, data: dict[str, Any]) -> None:
    """Raises NoCamera, NoLayer, where the scene's report knows better."""
    wishes: tuple[Any, ...] = (("cameras", job.cameras, NoCamera), ("layers", job.layers, NoLayer))
    for field, wanted, error in wishes:
        # A scene of Maya may have its cameras from one that it references: its report knows only its own.
        if field not in data or data.get("references"):
            continue
        known = list(names_in(data[field]))
        if unknown := [name for name in wanted if name not in known]:
            raise error(field=field, unknown=unknown, available=known[:1000])


def names_in(listed: Iterable[Any]) -> Iterable[str]:
    """Names of cameras and layers, which reports give plainly or with what else they know of each."""
    return (each["name"] if isinstance(each, dict) else each for each in listed)
