"""Where results are put in the drive."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from drives.errors import NameTaken
from drives.models import Blob, File
from drives.paths import join, split
from drives.services.places import ensure_folders
from drives.services.tree import NewFile, put_files
from rendering.models import JobLog, RenderJob, RenderStep
from rendering.services import news
from rendering.services.admission import results_folder


@dataclass(frozen=True)
class Output:
    """A checked picture: its name (a path below the step's folder), content, preview, and size in pixels.

    `layer` is the pass (AOV) or layer that it shows, empty for the picture itself; `is_flat`: it has a single colour.
    """

    name: str
    blob: Blob
    preview: Blob | None
    width: int
    height: int
    layer: str = ""
    is_flat: bool = False


def place_outputs(*, job: RenderJob, step: RenderStep, outputs: Sequence[Output]) -> list[File]:
    """Put pictures into the job's folder, in order, even where the drive is full.

    A folder that was renamed, moved or trashed meanwhile is made again at its place. Where something else is in that
    place, the remaining results go to another folder, which the task log names.
    """
    try:
        return put_below(step_folder(job, step), job, outputs)
    except NameTaken:
        folder = results_folder(job).path
        RenderJob.objects.filter(pk=job.pk).update(output_folder=folder)
        job.output_folder = folder
        line = _("The folder of the results is in use otherwise; they go to %(folder)s.") % {"folder": folder}
        news.log(job, line, level=JobLog.Level.WARNING)
        return put_below(step_folder(job, step), job, outputs)


def put_below(base: str, job: RenderJob, outputs: Sequence[Output]) -> list[File]:
    """Raises NameTaken."""
    places = [split(join(base, output.name)) for output in outputs]
    folders = ensure_folders(drive=job.drive, paths={folder for folder, _name in places})
    new_files = [
        NewFile(folders[folder], name, output.blob)
        for (folder, name), output in zip(places, outputs, strict=True)
    ]
    return put_files(drive=job.drive, actor=job.user, new_files=new_files)


def step_folder(job: RenderJob, step: RenderStep) -> str:
    """The folder of a step's results: the job's own, or one in it where the job has several steps."""
    if step.name == RenderStep.MAIN or job.steps.count() == 1:
        return job.output_folder
    return join(job.output_folder, step.name)
