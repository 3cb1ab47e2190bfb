"""Words of Maya: what nodes, attributes, units and file endings mean. Attributes have a short and a long name."""

import re

FPS = {
    "game": 15.0, "film": 24.0, "pal": 25.0, "ntsc": 30.0, "show": 48.0, "palf": 50.0, "ntscf": 60.0,
    "millisec": 1000.0, "second": 1.0, "sec": 1.0, "minute": 1 / 60, "min": 1 / 60, "hour": 1 / 3600,
    "23.976fps": 24000 / 1001, "29.97fps": 30000 / 1001, "29.97df": 30000 / 1001, "47.952fps": 48000 / 1001,
    "59.94fps": 60000 / 1001,
}  # fmt: skip

LONG_NAMES = {
    "fileTextureName": "ftn", "uvTilingMode": "uvt", "useFrameExtension": "ufe", "frameOffset": "fo",
    "imageName": "imn", "cacheFileName": "cfn", "cacheName": "cn", "cachePath": "cp", "abc_File": "fn",
    "renderable": "rnd", "currentRenderer": "ren", "startFrame": "fs", "endFrame": "ef", "byFrameStep": "bfs",
    "animation": "an", "imageFormat": "outf", "global": "g", "imfPluginKey": "imfkey", "imageFilePrefix": "ifp",
    "width": "w", "height": "h", "imageFormatStr": "imgfs", "xgFileName": "xfn", "filePath": "fp",
}  # fmt: skip

# Nodes that are there in every scene, or once in a scene, by name: the reader keeps what they say.
GLOBALS = frozenset({
    "defaultRenderGlobals", "defaultResolution", "defaultArnoldDriver", "redshiftOptions", "vraySettings",
    "defaultRenderLayer",
})  # fmt: skip
GLOBAL_NUMBERS = frozenset({"fs", "ef", "bfs", "an", "outf", "w", "h", "wi", "he", "rndr", "rnd"})
GLOBAL_TEXTS = frozenset({"ren", "imfkey", "ifp", "ai_translator", "imgfs"})

CAMERA, RENDER_LAYER, SCRIPT, REFERENCE = "camera", "renderLayer", "script", "reference"
KEPT_TYPES = frozenset({CAMERA, RENDER_LAYER, SCRIPT})
# Their numbers say how a file name is meant (tiles, sequences), or whether they render.
NUMERIC_TYPES = frozenset({
    CAMERA, RENDER_LAYER, "file", "psdFileTex", "movie", "imagePlane", "aiImage", "aiVolume", "aiStandIn",
    "RedshiftProxyMesh", "RedshiftVolumeShape", "RedshiftSprite", "VRayMesh", "VRayProxy", "VRayVolumeGrid",
})  # fmt: skip
NODE_NUMBERS = frozenset({"rnd", "rndr", "g", "uvt", "ufe", "fo", "useSequence"})

# Nodes whose texts name what a render writes, or what only the program's windows use.
SILENT_TYPES = frozenset({
    SCRIPT, RENDER_LAYER, "renderSetupLayer", "renderSetup", "aiOptions", "aiAOVDriver", "aiAOV", "RedshiftOptions",
    "RedshiftAOV", "VRaySettingsNode", "VRayRenderElement", "mentalrayOptions", "mentalrayGlobals", "displayLayer",
    "nodeGraphEditorInfo", "hyperLayout", "container", "trackInfoManager", "sequencer", "shot", "rmanGlobals",
    "rmanDisplay", "d_openexr", "PxrOptions",
})  # fmt: skip
SILENT_NAMES = frozenset({
    "defaultRenderGlobals", "defaultArnoldRenderOptions", "defaultArnoldDriver", "defaultArnoldDisplayDriver",
    "redshiftOptions", "vraySettings", "rmanGlobals", "rmanDefaultDisplay", "mentalrayGlobals",
})  # fmt: skip
# A picture is wrong without the files of these attributes; others may be notes of a pipeline.
FILE_ATTRIBUTES = frozenset({
    "ftn", "imn", "fn", "fns", "fn2", "cfn", "dso", "filename", "fileName", "file", "fp", "xfn", "iesProfile",
    "ai_filename", "cachefile", "texturePath", "profile", "inFile", "if",
})  # fmt: skip
TEXTURE_SLOT = re.compile(r"tex\d*|[a-zA-Z]*Filename\d*|[a-zA-Z]*_filename\d*")

KINDS = {
    "image": "png jpg jpeg jpe tif tiff tx exr hdr hdri tga bmp psd psb iff gif sgi rgb rgba pic dpx cin rat rstexbin"
    " tex ptx ptex webp dds als jp2 vrimg pnm ppm rla map",
    "movie": "mov mp4 avi mpg mpeg m4v webm mkv wmv qt",
    "sound": "wav aif aiff mp3 aac ogg m4a flac",
    "library": "ma mb",
    "volume": "vdb f3d vrvol",
    "cache": "abc usd usda usdc usdz fbx obj ass rs vrmesh vrscene bgeo geo pdb pdc mc mcx bif bob xgen xdsc xuv ply"
    " stl dae rib prt",
    "simulation_cache": "mcfi mcfp mcj mcc",
    "other": "ies ocio cube 3dl lut osl oso sbsar sbs json xml ttf otf",
}
KIND_OF_SUFFIX = {suffix: kind for kind, suffixes in KINDS.items() for suffix in suffixes.split()}
OPTIONAL_KINDS = frozenset({"sound", "simulation_cache"})
IMAGE_FORMATS = {
    0: "GIF", 1: "PIC", 2: "RLA", 3: "TIFF", 4: "TIFF", 5: "SGI", 6: "PIX", 7: "IFF", 8: "JPEG", 9: "EPS", 10: "IFF",
    11: "CIN", 12: "YUV", 13: "SGI", 19: "TGA", 20: "BMP", 22: "MOV", 23: "AVI", 31: "PSD", 32: "PNG", 35: "DDS",
    36: "PSD", 40: "EXR",
}  # fmt: skip
REDSHIFT_FORMATS = {0: "IFF", 1: "EXR", 2: "PNG", 3: "TGA", 4: "JPEG", 5: "TIFF"}

# `layers[2].filename` is a file name, too.
LAST_NAME = re.compile(r"(\w+)(?:\[\d+\])?$")
# Their frame is the scene's, moved by the frame offset; others count as they like.
TIMED_TYPES = frozenset({"file", "psdFileTex", "imagePlane"})
UDIM_TOKEN = re.compile(r"<(?:udim|uvtile|tile|u>_?[a-z]*<v)>", re.IGNORECASE)
FRAME_TOKEN = re.compile(r"<f(?:rame)?(?:num)?\d*>|#+|%0?\d*d|\$F\d*", re.IGNORECASE)


def fps_of(unit: str) -> float | None:
    """Frames a second of a time unit (`film`, `pal`, `120fps`), or None for one that is not known."""
    if unit in FPS:
        return FPS[unit]
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)fps", unit)
    return float(found[1]) if found and float(found[1]) > 0 else None


def suffix_of(path: str) -> str:
    """The ending of a file name that tells what it is, in lower case and without the dot."""
    name = path.replace("\\", "/").rpartition("/")[2].lower().removesuffix(".gz")
    return name.rpartition(".")[2] if "." in name else ""
