"""Pictures that stand-ins of renderers write: real ones, of the size and format asked for."""

import hashlib
from pathlib import Path


def write_picture(path: Path, width: int, height: int, text: str) -> None:
    """A picture that is another for every text. The ending of the path is the format."""
    # Late: what fails before it draws shall not wait for them.
    import numpy as np
    import OpenImageIO as oiio  # noqa: N813  (its own documentation calls it so)

    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    pixels = np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)
    image = oiio.ImageBuf(pixels)
    image.set_write_format("half" if path.suffix == ".exr" else "uint8")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not image.write(str(path)):
        raise OSError(image.geterror())
