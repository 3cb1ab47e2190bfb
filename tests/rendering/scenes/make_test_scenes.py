"""Build the small scenes of the tests, and the one texture that they share.

    .engines/blender/bin/python tests/rendering/scenes/make_test_scenes.py

cube.blend     10 frames of a turning textured cube, 64x36 at 4 samples: a blink each
slow.blend     one frame of it takes about half a minute on two cores and reports progress all the while
missing.blend  names a texture that is not there and one on a Windows disk; a third is named but not used
library.blend  links its cube from lib/part.blend, which takes its texture from ../textures
camera.blend   has no camera
bundled.blend  links a node group that comes with Blender, from where Windows installs it
studio.blend   two cameras (camera, close), two view layers (ViewLayer, and empty without the cube), and a region of the
               picture, its left half, to which it is cropped
script.blend   carries a script and a driver that would write files named OWNED next to it, were they run
"""

from collections.abc import Callable
from pathlib import Path

import bpy

FOLDER = Path(__file__).resolve().parent
WINDOWS_PATH = "C:\\proj\\textures\\wood.png"


def main() -> None:
    (FOLDER / "textures").mkdir(exist_ok=True)
    (FOLDER / "lib").mkdir(exist_ok=True)
    save_checker(FOLDER / "textures" / "checker.png")
    for name, build in SCENES.items():
        start()
        build()
        # Names are kept to the letter: those of missing files must not be made relative to this machine.
        target = str(FOLDER / name)
        bpy.ops.wm.save_as_mainfile(filepath=target, compress=True, relative_remap=False)


def cube() -> None:
    add_cube(texture("//textures/checker.png"))


def slow() -> None:
    """Adaptive sampling makes Cycles report often; a threshold out of reach makes it take every sample."""
    cube()
    cycles = bpy.context.scene.cycles
    cycles.samples = 12_000
    cycles.use_adaptive_sampling, cycles.adaptive_threshold, cycles.adaptive_min_samples = True, 1e-6, 16


def studio() -> None:
    cube()
    scene = bpy.context.scene
    close = scene.camera.copy()
    close.data, close.name = scene.camera.data.copy(), "close"
    close.data.lens *= 3
    scene.collection.objects.link(close)
    boxes = bpy.data.collections.new("boxes")
    scene.collection.children.link(boxes)
    box = bpy.data.objects["cube"]
    scene.collection.objects.unlink(box)
    boxes.objects.link(box)
    scene.view_layers.new("empty").layer_collection.children["boxes"].exclude = True
    scene.render.use_border = scene.render.use_crop_to_border = True
    scene.render.border_min_x, scene.render.border_max_x = 0, 0.5
    scene.render.border_min_y, scene.render.border_max_y = 0, 1


def missing() -> None:
    box = add_cube(texture("//textures/absent.png"))
    box.data.materials.append(texture(WINDOWS_PATH))
    unused = bpy.data.images.new("unused", 1, 1)
    unused.source, unused.filepath_raw, unused.use_fake_user = "FILE", "//textures/unused.png", True


def part() -> None:
    add_cube(texture("//../textures/checker.png"))


def library() -> None:
    with bpy.data.libraries.load(str(FOLDER / "lib" / "part.blend"), link=True) as (_, wanted):
        wanted.objects = ["cube"]
    bpy.context.scene.collection.objects.link(bpy.data.objects["cube"])
    bpy.data.libraries[0].filepath = "//lib/part.blend"


def camera() -> None:
    cube()
    bpy.data.objects.remove(bpy.context.scene.camera)


def bundled() -> None:
    cube()
    name = "datafiles/assets/nodes/procedural_hair_node_assets.blend"
    path = Path(bpy.utils.system_resource("DATAFILES")).parent / name
    with bpy.data.libraries.load(str(path), link=True) as (there, wanted):
        wanted.node_groups = sorted(there.node_groups)[:1]
    modifier = bpy.data.objects["cube"].modifiers.new("nodes", "NODES")
    modifier.node_group = bpy.data.node_groups[0]
    modifier.show_render = False
    for library in bpy.data.libraries:
        library.filepath = f"C:\\Program Files\\Blender Foundation\\Blender 5.0\\5.0\\{name}".replace(
            "/", "\\"
        )


def script() -> None:
    cube()
    text = bpy.data.texts.new("startup.py")
    text.write("import bpy\nopen(bpy.path.abspath('//OWNED-by-script'), 'w')\n")
    text.use_module = True
    driver = bpy.data.objects["cube"].driver_add("location", 0).driver
    driver.type = "SCRIPTED"
    driver.expression = "0.0 * len(str(open(bpy.path.abspath('//OWNED-by-driver'), 'w')))"


SCENES: dict[str, Callable[[], None]] = {
    "cube.blend": cube,
    "slow.blend": slow,
    "studio.blend": studio,
    "missing.blend": missing,
    "lib/part.blend": part,
    "library.blend": library,
    "camera.blend": camera,
    "bundled.blend": bundled,
    "script.blend": script,
}


def start() -> None:
    """An empty scene with a camera, a lamp and settings that render in a blink."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = 64, 36
    scene.render.image_settings.file_format = "PNG"
    scene.frame_start, scene.frame_end = 1, 10
    scene.cycles.samples, scene.cycles.use_denoising = 4, False
    scene.cycles.use_adaptive_sampling = False
    eye = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    eye.location, eye.rotation_euler = (0, -4, 0), (1.5708, 0, 0)
    lamp = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "POINT"))
    lamp.location, lamp.data.energy = (2, -4, 3), 700
    for item in (eye, lamp):
        scene.collection.objects.link(item)
    scene.camera = eye


def add_cube(material: bpy.types.Material) -> bpy.types.Object:
    """A cube that fills the picture and makes a quarter turn in ten frames."""
    bpy.ops.mesh.primitive_cube_add(size=2)
    box = bpy.context.object
    box.name = "cube"
    box.data.materials.append(material)
    for frame, angle in ((1, 0.0), (10, 1.5708)):
        box.rotation_euler = (0.3, angle / 2, angle)
        box.keyframe_insert("rotation_euler", frame=frame)
    return box


def texture(path: str) -> bpy.types.Material:
    """A material that shows the image named `path`, whether it is there or not."""
    name = path.replace("\\", "/").rsplit("/", 1)[-1]
    image = bpy.data.images.new(name, 1, 1)
    image.source, image.filepath_raw = "FILE", path
    material = bpy.data.materials.new(f"material of {name}")
    node = material.node_tree.nodes.new("ShaderNodeTexImage")
    node.image = image
    shader = material.node_tree.nodes["Principled BSDF"]
    material.node_tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    return material


def save_checker(path: Path) -> None:
    """Eight by eight squares, blue and white, so that no square is the pink of a missing texture."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    image = bpy.data.images.new("checker", 32, 32, alpha=False)
    colours = ((0.1, 0.2, 0.7, 1.0), (0.9, 0.9, 0.9, 1.0))
    image.pixels = [value for y in range(32) for x in range(32) for value in colours[(x // 4 + y // 4) % 2]]
    image.file_format, image.filepath_raw = "PNG", str(path)
    image.save()


if __name__ == "__main__":
    main()
