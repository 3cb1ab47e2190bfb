"""Build the example scene: three silk lanterns over a temple floor at dusk.

    .engines/blender/bin/python examples/make_scene.py

Writes examples/lantern/scene.blend and the two textures that it names, //textures/silk.png and
//textures/floor.png. Everything is computed here, from formulas and one fixed seed.
"""

import math
from pathlib import Path

import bpy
import numpy as np

FOLDER = Path(__file__).resolve().parent / "lantern"
FRAMES = 24
TEXTURE_SIZE = 256  # pixels a side


def main() -> None:
    (FOLDER / "textures").mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    silk = save_texture("silk", silk_pixels())
    floor = save_texture("floor", floor_pixels())
    scene = bpy.context.scene
    set_up_render(scene)
    build_sky(scene)
    build_floor(textured_material("floor", floor, roughness=0.3))
    glow = textured_material("silk", silk, roughness=0.6, emission=2.0)
    brass = plain_material("brass", (0.83, 0.52, 0.16), roughness=0.25, metallic=1.0)
    fringe = plain_material("fringe", (0.75, 0.05, 0.02), roughness=0.8)
    for number, (x, y, drop, size) in enumerate(
        [(-2.1, 0.9, 1.1, 0.72), (0.0, 0.0, 1.45, 1.0), (2.3, 1.5, 0.9, 0.8)]
    ):
        build_lantern(number, (x, y, 4.4), drop, size, glow, brass, fringe)
    build_clouds(plain_material("cloud", (0.78, 0.8, 0.9), roughness=1.0))
    build_camera(scene)
    for old in FOLDER.glob("scene.blend*"):
        old.unlink()
    bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "scene.blend"), compress=True, relative_remap=True)


def silk_pixels() -> np.ndarray:
    """Red silk with a band of gold rosettes, darker towards the ribs; float RGB, row 0 at the bottom."""
    v, u = np.mgrid[0:TEXTURE_SIZE, 0:TEXTURE_SIZE] / TEXTURE_SIZE
    weave = 0.94 + 0.06 * np.sin(u * 2 * np.pi * 64) * np.sin(v * 2 * np.pi * 64)
    ribs = 0.65 + 0.35 * np.abs(np.sin(u * np.pi * 16)) ** 0.4
    red = np.array([0.86, 0.09, 0.03])
    gold = np.array([1.0, 0.68, 0.16])
    du, dv = (u * 8) % 1 - 0.5, (v - 0.5) * 8
    radius, angle = np.hypot(du, dv), np.arctan2(dv, du)
    petals = radius < 0.3 + 0.1 * np.cos(6 * angle)
    ring = np.abs(radius - 0.14) < 0.045
    bands = (np.abs(np.abs(v - 0.5) - 0.1) < 0.012) | (np.abs(np.abs(v - 0.5) - 0.33) < 0.015)
    is_gold = ((petals & ~ring) & (np.abs(dv) < 0.6)) | bands
    return np.where(is_gold[..., None], gold, red) * (weave * ribs)[..., None]


def floor_pixels() -> np.ndarray:
    """Four by four slabs of dark stone with darker joints, each slab of its own shade."""
    random = np.random.default_rng(20)
    slabs = 4
    v, u = np.mgrid[0:TEXTURE_SIZE, 0:TEXTURE_SIZE] * slabs / TEXTURE_SIZE
    shade = random.uniform(0.3, 0.52, (slabs, slabs))[v.astype(int), u.astype(int)]
    coarse = random.normal(0, 0.02, (33, 33))
    grain = np.kron(coarse[:32, :32], np.ones((TEXTURE_SIZE // 32, TEXTURE_SIZE // 32)))
    grain = (grain + np.roll(grain, 3, 0) + np.roll(grain, 3, 1) + np.roll(grain, 5, (0, 1))) / 2
    joint = np.minimum(np.minimum(u % 1, 1 - u % 1), np.minimum(v % 1, 1 - v % 1)) < 0.03
    grey = np.where(joint, 0.1, np.clip(shade + grain, 0, 1))
    return grey[..., None] * np.array([0.92, 0.97, 1.1])


def save_texture(name: str, pixels: np.ndarray) -> bpy.types.Image:
    image = bpy.data.images.new(name, TEXTURE_SIZE, TEXTURE_SIZE, alpha=False)
    alpha = np.ones((*pixels.shape[:2], 1))
    image.pixels.foreach_set(np.concatenate([pixels, alpha], axis=2).clip(0, 1).astype(np.float32).ravel())
    image.file_format = "PNG"
    image.filepath_raw = str(FOLDER / "textures" / f"{name}.png")
    image.save()
    image.source = "FILE"
    return image


def set_up_render(scene: bpy.types.Scene) -> None:
    render = scene.render
    render.engine = "CYCLES"
    render.resolution_x, render.resolution_y, render.resolution_percentage = 320, 180, 100
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode = "RGB"
    render.fps = 24
    scene.frame_start, scene.frame_end = 1, FRAMES
    scene.cycles.samples = 16
    scene.cycles.use_denoising = True
    scene.cycles.max_bounces = 4
    scene.cycles.sample_clamp_indirect = 4.0
    scene.cycles.seed = 7
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"


def build_sky(scene: bpy.types.Scene) -> None:
    """Dusk: warm at the horizon, blue above; and a moon low behind the lanterns."""
    world = bpy.data.worlds.new("dusk")
    scene.world = world
    world.cycles.sampling_method, world.cycles.sample_map_resolution = (
        "MANUAL",
        128,
    )  # a smooth sky needs no more
    nodes, links = world.node_tree.nodes, world.node_tree.links
    coordinates = nodes.new("ShaderNodeTexCoord")
    split = nodes.new("ShaderNodeSeparateXYZ")
    ramp = nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[0].color = 0.0, (0.55, 0.22, 0.16, 1)
    ramp.color_ramp.elements[1].position, ramp.color_ramp.elements[1].color = 0.55, (0.012, 0.03, 0.11, 1)
    ramp.color_ramp.elements.new(0.16).color = (0.16, 0.1, 0.22, 1)
    links.new(coordinates.outputs["Generated"], split.inputs[0])
    links.new(split.outputs["Z"], ramp.inputs[0])
    links.new(ramp.outputs["Color"], nodes["Background"].inputs["Color"])
    bpy.ops.mesh.primitive_uv_sphere_add(segments=32, ring_count=16, radius=1.5, location=(4.6, 22, 6.6))
    moon = bpy.context.object
    moon.name = "moon"
    moon.data.materials.append(plain_material("moon", (1.0, 0.93, 0.8), roughness=1.0, emission=2.2))
    bpy.ops.object.shade_smooth()


def build_floor(material: bpy.types.Material) -> None:
    bpy.ops.mesh.primitive_plane_add(size=60)
    floor = bpy.context.object
    floor.name = "floor"
    floor.data.materials.append(material)
    for corner in floor.data.uv_layers.active.data:  # one texture covers four metres
        corner.uv = (corner.uv[0] * 15, corner.uv[1] * 15)


def build_lantern(number, hook, drop, size, silk, brass, fringe) -> None:
    """A lantern that hangs `drop` metres under `hook` and swings once in the length of the scene."""
    pivot = bpy.data.objects.new(f"hook {number}", None)
    bpy.context.scene.collection.objects.link(pivot)
    pivot.location = hook
    for frame in range(1, FRAMES + 2, 3):
        phase = 2 * math.pi * (frame - 1) / FRAMES + number * 1.9
        pivot.rotation_euler = (0.1 * math.cos(phase), 0.24 * math.sin(phase), 0.9 * math.sin(phase + 0.6))
        pivot.keyframe_insert("rotation_euler", frame=frame)

    centre = -drop - 0.8 * size
    bpy.ops.mesh.primitive_uv_sphere_add(segments=48, ring_count=16, radius=size)
    body = part(pivot, "body", silk, (0, 0, centre))
    for vertex in body.data.vertices:  # sixteen ribs pull the silk in, poles are flattened
        x, y, z = vertex.co
        bulge = 0.94 + 0.06 * abs(math.sin(8 * math.atan2(y, x)))
        vertex.co = (x * bulge, y * bulge, z * 0.78)
    bpy.ops.object.shade_smooth()
    for side in (-1, 1):
        bpy.ops.mesh.primitive_cylinder_add(vertices=32, radius=0.42 * size, depth=0.14 * size)
        part(pivot, "cap", brass, (0, 0, centre + side * 0.74 * size))
    bpy.ops.mesh.primitive_cylinder_add(vertices=8, radius=0.018, depth=drop + 0.1)
    part(pivot, "cord", brass, (0, 0, -drop / 2))
    bpy.ops.mesh.primitive_uv_sphere_add(segments=16, ring_count=8, radius=0.1 * size)
    part(pivot, "bead", brass, (0, 0, centre - 0.9 * size))
    bpy.ops.mesh.primitive_cone_add(vertices=12, radius1=0.13 * size, radius2=0.05 * size, depth=0.55 * size)
    part(pivot, "tassel", fringe, (0, 0, centre - 1.24 * size))
    lamp = bpy.data.lights.new("lamp", "POINT")
    lamp.color, lamp.energy, lamp.shadow_soft_size = (1.0, 0.4, 0.14), 160 * size, 0.2
    glow = bpy.data.objects.new("lamp", lamp)
    bpy.context.scene.collection.objects.link(glow)
    glow.parent, glow.location = pivot, (0, 0, centre - 1.6 * size)


def part(parent: bpy.types.Object, name: str, material: bpy.types.Material, location) -> bpy.types.Object:
    """Name the object just added and hang it to `parent`."""
    added = bpy.context.object
    added.name = name
    added.parent = parent
    added.location = location
    added.data.materials.append(material)
    return added


def build_clouds(material: bpy.types.Material) -> None:
    """Banks of flattened spheres that drift past behind the lanterns."""
    random = np.random.default_rng(8)
    bpy.ops.mesh.primitive_uv_sphere_add(segments=24, ring_count=12)
    bpy.ops.object.shade_smooth()
    ball = bpy.context.object.data
    ball.materials.append(material)
    bpy.data.objects.remove(bpy.context.object)
    for number, (x, y, z, width) in enumerate(
        [(-5.5, 9, 2.6, 1.5), (1.5, 13, 3.4, 2.0), (7.5, 11, 1.9, 1.4)]
    ):
        bank = bpy.data.objects.new(f"cloud {number}", None)
        bpy.context.scene.collection.objects.link(bank)
        for frame, way in ((1, 0.0), (FRAMES, 1.2)):
            bank.location = (x + way, y, z)
            bank.keyframe_insert("location", frame=frame)
        for puff in range(7):
            share = puff / 6 - 0.5
            radius = width * (0.75 - 0.9 * abs(share)) * random.uniform(0.85, 1.15)
            cloud = bpy.data.objects.new("puff", ball)
            bpy.context.scene.collection.objects.link(cloud)
            cloud.parent = bank
            cloud.location = (share * 3.2 * width, random.uniform(-0.4, 0.4), 0.2 * radius)
            cloud.scale = (radius, radius, 0.72 * radius)


def build_camera(scene: bpy.types.Scene) -> None:
    target = bpy.data.objects.new("target", None)
    target.location = (0.1, 0.6, 1.45)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.lens = 34
    for item in (target, camera):
        scene.collection.objects.link(item)
    constraint = camera.constraints.new("TRACK_TO")
    constraint.target = target
    scene.camera = camera
    for frame, place in ((1, (-2.6, -7.6, 1.9)), (FRAMES // 2, (0.2, -7.4, 2.3)), (FRAMES, (2.6, -7.6, 2.9))):
        camera.location = place
        camera.keyframe_insert("location", frame=frame)


def plain_material(name, colour, *, roughness, metallic=0.0, emission=0.0) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    inputs = material.node_tree.nodes["Principled BSDF"].inputs
    inputs["Base Color"].default_value = (*colour, 1)
    inputs["Roughness"].default_value = roughness
    inputs["Metallic"].default_value = metallic
    inputs["Emission Color"].default_value = (*colour, 1)
    inputs["Emission Strength"].default_value = emission
    return material


def textured_material(name, image, *, roughness, emission=0.0) -> bpy.types.Material:
    material = plain_material(name, (1, 1, 1), roughness=roughness, emission=emission)
    material.cycles.emission_sampling = "NONE"  # the lamps light the floor, thousands of faces need not
    nodes, links = material.node_tree.nodes, material.node_tree.links
    texture = nodes.new("ShaderNodeTexImage")
    texture.image = image
    links.new(texture.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])
    links.new(texture.outputs["Color"], nodes["Principled BSDF"].inputs["Emission Color"])
    return material


if __name__ == "__main__":
    main()
