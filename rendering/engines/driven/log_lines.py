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
    # Arnold: "... because the abort_on_license_fail option was enabled", from 7.3 on "because this is a batch render
    # and abort_on_license_fail option is enabled" [D 214]; without the option it marks the picture [C][L].
    ErrorLine("abort_on_license_fail option", "licence_unavailable", "now"),
    ErrorLine("rendering with watermarks because", "licence_unavailable", "now"),
    ErrorLine("error checking out license for arnold", "licence_unavailable"),  # [L]
    # "Could not obtain a license (-88)"; V-Ray may then wait for ever [D 480, 3ds Max 238].
    ErrorLine("Could not obtain a license", "licence_unavailable", "now"),
    # "License error: (RLM) All licenses in use (-22)" [C]; "Maxon licensing error: User not logged in (7)" [D 480]
    ErrorLine("[Redshift] License error", "licence_unavailable", "now"),
    ErrorLine("[Redshift] Maxon licensing error", "licence_unavailable", "now"),
    ErrorLine("{SEVERE}", "licence_unavailable", "now", r"\{SEVERE\}\s+License"),  # RenderMan, R50009 [D]
    ErrorLine("License was not obtained", "licence_unavailable"),  # Maya itself [L]
)
TEXTURES = (
    # Arnold [L]: "[texturesys] ... Invalid image file "a.tx": ...", older "Could not open file", "unspecified OIIO
    # error (filename = "a.jpg")" [C]. An empty name is a file node that nobody filled in.
    ErrorLine("[texturesys]", "missing_texture", "now", r'(?:Invalid image file|filename =) "([^"]+)"'),
    ErrorLine("[texturesys]", "missing_texture", "now", r'Could not open file "?([^"\s]+)'),
)
MEMORY = tuple(
    ErrorLine(text, "out_of_memory")
    for text in ("out of memory", "Out of memory", "bad_alloc", "Out of VRAM", "Memory exception")
)
NOT_FOUND = "was not found on MAYA_PLUG_IN_PATH"
RENDERER_PLUGIN = ErrorLine(
    NOT_FOUND,
    "plugin_missing",
    "now",
    r'Plug-in, "((?:mtoa|vrayformaya|redshift4maya|RenderMan_for_Maya)[^"]*)"',
)  # [T]
PLUGIN = ErrorLine(NOT_FOUND, "plugin_missing", "note", r'Plug-in, "([^"]+)"')  # [T]
CAMERA = (
    ErrorLine("makeCameraRenderable.mel line", "no_camera", "note", r"line \d+: (.*)"),  # [L]
    ErrorLine("No renderable camera", "no_camera"),  # Redshift [L]
)
CRASH = (
    ErrorLine("maya encountered a fatal error", "crashed", "end"),  # [L]
    ErrorLine("Fatal Error. Attempting to save in", "crashed", "end"),  # [C][L]
    ErrorLine("signal caught: SIG", "crashed", "end"),  # Arnold [C]
)
RENDER = (
    ErrorLine("[mtoa] Failed batch render", "render_failed", "end"),  # [T][C], in the plug-in's source
    ErrorLine("There was a fatal error building the scene for V-Ray", "render_failed", "end"),  # [L]
    ErrorLine("Rendering was internally aborted", "render_failed", "end"),  # Redshift [T][C]
    ErrorLine("Frame rendering aborted", "render_failed", "end"),  # Redshift [T][C]
    ErrorLine("No devices found. Aborting rendering", "render_failed", "end"),  # Redshift [C]
    ErrorLine("[ass] can't", "not_a_scene", "note", r"can't (?:open|read in)"),  # Arnold [C]
    ErrorLine("[kick] Can't read input file", "not_a_scene"),  # [L]
    ErrorLine("[alembic] invalid archive", "missing_cache"),  # [C]
    ErrorLine("failed to render.", "render_failed", "end"),  # [C][L]
    ErrorLine("Maya exited with status 21", "render_failed", "end"),  # 210, 211 [C][T]
    ErrorLine("(kFailure)", "render_failed", "end"),  # [C]
)


def error_lines(*, allow_missing: bool) -> list[ErrorLine]:
    """All of them, most telling first. A missing texture is left out where that is allowed."""
    textures = () if allow_missing else TEXTURES
    return [*LICENCE, RENDERER_PLUGIN, *textures, *MEMORY, *CAMERA, *CRASH, PLUGIN, *RENDER]
