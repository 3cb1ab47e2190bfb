"""The Maya project that a scene belongs to: the nearest folder with a `workspace.mel`, or by custom."""

import posixpath
import re
from dataclasses import dataclass

from django.db.models import Q

from drives.models import Drive, File
from drives.storage import blob_storage
from rendering.scenes.texts import decode
from rendering.services.asset_names import RULES, Project, project_root

DEFINITION = "workspace.mel"
MAX_SIZE = 1 << 16
RULE = re.compile(rb'workspace\s+-fr\s+"[^"\n]{1,100}"\s+"([^"\n]{1,200})"')


@dataclass(frozen=True)
class FoundProject:
    """`file` is the project's definition, which the renderer reads, too."""

    naming: Project
    file: File | None = None

    @property
    def root(self) -> str:
        return self.naming.root


def find_project(drive: Drive, scene_folder: str) -> FoundProject:
    """The project of a scene in this folder."""
    above = [scene_folder]
    while above[-1] != "/":
        above.append(posixpath.dirname(above[-1]))
    rows = File.objects.living().filter(drive=drive, name=DEFINITION).select_related("folder", "blob")
    near = rows.filter(Q(folder__path__in=above) | Q(folder__isnull=True))
    found = {file.folder_path: file for file in near}
    for folder in above:
        if file := found.get(folder):
            return FoundProject(Project(folder, (*rules_of(file), *RULES)), file)
    return FoundProject(Project(project_root(scene_folder)))


def rules_of(file: File) -> list[str]:
    """Folders inside the project that its definition names; none where it cannot be read now."""
    try:
        with blob_storage().open_blob(file.blob.storage_key, 0, MAX_SIZE) as content:
            text = content.read()
    except OSError:
        return []
    folders = (posixpath.normpath(decode(found[1])) for found in RULE.finditer(text))
    inside = dict.fromkeys(
        folder for folder in folders if not folder.startswith((".", "/")) and ":" not in folder
    )
    return list(inside)[:100]
