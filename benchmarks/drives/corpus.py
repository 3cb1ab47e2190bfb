"""A drive of a million files, made by the database itself."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from common.ids import new_id
from drives.models import Drive, Folder

FOLDERS, FILES = 10_000, 1_000_000
IN_ONE = 20_000
"""Files that lie in one folder; the others are spread evenly."""
BLOCK = 1_880
"""Folders of each tree below the root, every folder with up to three in it: eight levels."""
BRANCHES = 3
RARE = "水墨丹青_final_zq"
WORDS = [
    "贴图", "场景", "镜头", "灯光", "材质", "木头", "石头", "角色", "动画", "合成",
    "wood", "stone", "light", "shot", "beauty", "depth", "normal", "albedo", "cache", "plate",
]  # fmt: skip
ENDINGS = ["png", "exr", "tif", "blend", "abc"]
BLOBS = """
INSERT INTO drives_blob (id, created_at, updated_at, size, sha256, md5, crc32, storage_key, verified_at)
SELECT uuidv7(), now(), now(), n %% 5000000, encode(sha256(n::text::bytea), 'hex'), md5(n::text), n, 'bench/' || n,
    now()
FROM generate_series(1, %(files)s) n
"""
NUMBERED = """
CREATE TEMPORARY TABLE numbered AS
SELECT row_number() OVER (ORDER BY random()) AS n, id, size FROM drives_blob WHERE storage_key LIKE 'bench/%%'
"""
ROWS = """
INSERT INTO drives_file (id, created_at, updated_at, drive_id, folder_id, name, blob_id, size, mime_type, modified_at)
SELECT uuidv7(), now(), now(), %(drive)s,
    (%(folders)s::uuid[])[CASE WHEN n <= %(in_one)s THEN %(folder_count)s ELSE n %% (%(folder_count)s - 1) + 1 END],
    CASE WHEN n %% %(rare_every)s = 0 THEN %(rare)s || '_' ELSE '' END
        || (%(words)s::text[])[n * 7 %% %(word_count)s + 1] || '_' || lpad(n::text, 7, '0')
        || '.' || (%(endings)s::text[])[n %% 5 + 1],
    id, size, 'image/png', now()
FROM numbered
"""
INDEX = "SELECT indexdef FROM pg_indexes WHERE indexname = 'drives_file_grams'"


@dataclass(frozen=True)
class Corpus:
    """Where to look in the drive: paths of folders of about a hundred files, of the full one, of a large subtree."""

    folders: list[str]
    deep: list[str]
    full: str
    subtree: UUID


def fill(drive: Drive) -> Corpus:
    """Folders by their rows, files by INSERT … SELECT; the index of names is built afterwards."""
    folders: list[Folder] = []
    for number in range(FOLDERS):
        place = number % BLOCK
        # As in a heap: the first of a block is its top, and each folder has the next three that have no parent yet.
        parent = folders[number - place + (place - 1) // BRANCHES] if place else None
        name = f"{WORDS[number % len(WORDS)]}_{number:05}"
        path = f"{parent.path if parent else ''}/{name}"
        folders.append(Folder(pk=new_id(), drive=drive, parent=parent, name=name, path=path))
    Folder.objects.bulk_create(folders, batch_size=2000)
    values: dict[str, Any] = {
        "files": FILES, "drive": drive.pk, "folders": [folder.pk for folder in folders], "in_one": IN_ONE,
        "folder_count": FOLDERS, "rare": RARE, "rare_every": FILES // 5, "words": WORDS, "word_count": len(WORDS),
        "endings": ENDINGS,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(INDEX)
        (index,) = cursor.fetchone()
        cursor.execute("DROP INDEX drives_file_grams")
        cursor.execute(BLOBS, values)
        cursor.execute(NUMBERED, {})
        cursor.execute(ROWS, values)
        cursor.execute(index)
        cursor.execute(
            "UPDATE drives_drive SET used_size = (SELECT sum(size) FROM drives_file) WHERE id = %s",
            [drive.pk],
        )
        cursor.execute("VACUUM ANALYZE drives_file, drives_folder, drives_blob")
        cursor.execute("CHECKPOINT")
    paths = [folder.path for folder in folders[:-1]]
    return Corpus(paths, [path for path in paths if path.count("/") == 8], folders[-1].path, folders[0].pk)
