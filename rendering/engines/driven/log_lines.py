"""What renderers print: progress, and why they fail.

Where each wording was seen: [D] aws-deadline/deadline-cloud-for-maya, MayaAdaptor/adaptor.py and issues 214, 480;
[T] Thinkbox's Deadline plug-in MayaCmd; [C] CGRU/cgru, afanasy/python/parsers; [L] logs in public repositories
(docs/engines.md). Renderers write English: MAYA_UI_LANGUAGE is set.
"""

from rendering.engines.driven.plan import ErrorLine

PROGRESS = (
    r"\b(\d+)% done\b",  # Arnold [D][C]: "00:00:09   514MB         |   100% done - 25 rays/pixel"
    r"Block (\d+)/(\d+) ",  # Redshift [C]: "[Redshift] Block 32/48 (7,4) rendered by GPU 0 in 2ms"
    r"V-Ray: +(\d+) ?%",  # [T]
    r"R90000\s+(\d+)%",  # RenderMan [D]
    r"Percentage of rendering done: (\d+)",  # Maya Software and Hardware [L]
    r"\[PROGRESS\] (\d+) percent",  # [D][T]
)
LICENCE = (
    # Arnold from 7.3 on, and before [D 214]; without the option it goes on and marks the picture [C][L].
    ErrorLine(r"aborting render because .*abort_on_license_fail", "licence_unavailable", "now"),
    ErrorLine(r"rendering with watermarks because", "licence_unavailable", "now"),
    ErrorLine(r"error checking out license for arnold", "licence_unavailable"),  # [L]
    # "Could not obtain a license (-88)"; V-Ray may then wait for ever [D 480, 3ds Max 238].
    ErrorLine(r"Could not obtain a license", "licence_unavailable", "now"),
    # "License error: (RLM) All licenses in use (-22)" [C]; "Maxon licensing error: User not logged in (7)" [D 480]
    ErrorLine(r"\[Redshift\] (?:License error|Maxon licensing error)", "licence_unavailable", "now"),
    ErrorLine(
        r"\{SEVERE\}\s+License", "licence_unavailable", "now"
    ),  # RenderMan: "R50009 {SEVERE} License ..." [D]
    ErrorLine(r"License was not obtained", "licence_unavailable"),  # Maya itself [L]
)
TEXTURES = (
    # Arnold [L]: "[texturesys] ... Invalid image file "a.tx": ...", older "Could not open file", "unspecified OIIO
    # error (filename = "a.jpg")" [C]. An empty name is a file node that nobody filled in.
    ErrorLine(r'\[texturesys\].*(?:Invalid image file|filename =) "([^"]+)"', "missing_texture", "now"),
    ErrorLine(r'\[texturesys\].*Could not open file "?([^"\s]+)', "missing_texture", "now"),
)
MEMORY = ErrorLine(r"(?i:\bout of (?:\w+ )?memory\b|std::bad_alloc|memory exception)", "out_of_memory")
RENDERER_PLUGIN = ErrorLine(
    r'Plug-in, "((?:mtoa|vrayformaya|redshift4maya|RenderMan_for_Maya)[^"]*)", was not found on MAYA_PLUG_IN_PATH',
    "plugin_missing",
    "now",
)  # [T]
PLUGIN = ErrorLine(r'Plug-in, "([^"]+)", was not found on MAYA_PLUG_IN_PATH', "plugin_missing")  # [T]
CAMERA = (
    ErrorLine(r"makeCameraRenderable\.mel line \d+: (.*)", "no_camera"),  # [L]
    ErrorLine(r"No renderable cameras? (?:was )?found", "no_camera"),  # Redshift [L]
)
CRASH = (
    ErrorLine(
        r"maya encountered a fatal error|Fatal Error\. Attempting to save in", "crashed", "end"
    ),  # [C][L]
    ErrorLine(r"signal caught: SIG\w+", "crashed", "end"),  # Arnold [C]
)
RENDER = (
    ErrorLine(r"\[mtoa\] Failed batch render", "render_failed", "end"),  # [T][C], in the plug-in's source
    ErrorLine(r"There was a fatal error building the scene for V-Ray", "render_failed", "end"),  # [L]
    ErrorLine(
        r"Rendering was internally aborted|Frame rendering aborted", "render_failed", "end"
    ),  # Redshift [T][C]
    ErrorLine(r"No devices found\. Aborting rendering", "render_failed", "end"),  # Redshift [C]
    ErrorLine(
        r"\[ass\] can't (?:open|read in)|\[kick\] Can't read input file", "not_a_scene"
    ),  # Arnold [C][L]
    ErrorLine(r"\[alembic\] invalid archive", "missing_cache"),  # [C]
    ErrorLine(
        r"failed to render\.|Maya exited with status 21\d|\(kFailure\)", "render_failed", "end"
    ),  # [C][L]
)


def error_lines(*, allow_missing: bool) -> list[ErrorLine]:
    """All of them, what explains most first; a texture that may be missing is no error."""
    textures = () if allow_missing else TEXTURES
    return [*LICENCE, RENDERER_PLUGIN, *textures, MEMORY, *CAMERA, *CRASH, PLUGIN, *RENDER]
