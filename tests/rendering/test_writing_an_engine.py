"""What docs/engines.md tells about writing an engine, followed: its example is run."""

import re
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from drives import pictures
from rendering.engines.base import Engine, RenderSpec


@pytest.fixture
def engine() -> Engine:
    page = (settings.BASE_DIR / "docs" / "engines.md").read_text("utf-8")
    example = re.search(r"```python\n(.*?)```", page[page.index("## Writing an engine") :], re.DOTALL)
    assert example
    names: dict[str, type[Engine]] = {}
    exec(example[1], names)  # noqa: S102  (the page is ours)
    return names["ColourEngine"]()


@pytest.mark.parametrize(
    ("colour", "exit_code", "error"),
    [("teal", 0, None), ("nosuchcolour", 2, "bad_request"), ("a:b", 2, "not_a_scene")],
)
def test_the_example_renders(
    engine: Engine, tmp_path: Path, colour: str, exit_code: int, error: str | None
) -> None:
    scene, output = tmp_path / "a.colour", tmp_path / "out"
    scene.write_text(colour)
    output.mkdir()
    spec = RenderSpec(scene=scene, frames=[1, 2], output_folder=output, width=32, height=18)

    done = subprocess.run(engine.render_command(spec, tmp_path), capture_output=True, text=True)

    assert done.returncode == exit_code, done.stdout
    found = [
        meaning.error[0]
        for line in done.stdout.splitlines()
        if (meaning := engine.read_line(line)) and meaning.error
    ]
    assert found == ([error] if error else [])
    assert sorted(engine.outputs(spec)) == ([] if error else [1, 2])
    for paths in engine.outputs(spec).values():
        pictures.check(paths[0], width=32, height=18)
    assert engine.versions() and engine.failure(3, None).code == "engine_failed"
    assert subprocess.run(engine.inspect_command(scene, tmp_path / "report.json")).returncode == 0
