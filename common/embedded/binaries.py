"""Finding the server binaries inside their Python packages, and what the system must have for them to run."""

import importlib.util
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from common.embedded.errors import EmbeddedError

DEBIAN_PACKAGES = {
    "libz.so.1": "zlib1g",
    "libm.so.6": "libc6",
    "librt.so.1": "libc6",
    "libgcc_s.so.1": "libgcc-s1",
    "libstdc++.so.6": "libstdc++6",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "libicuuc.so.72": "libicu72",
    "liblz4.so.1": "liblz4-1",
    "libzstd.so.1": "libzstd1",
}
MISSING_LIBRARY = re.compile(r"error while loading shared libraries: ([^:\s]+)")


def package_folder(package: str) -> Path:
    """Where a Python package lies, without importing it. Raises EmbeddedError where it is not installed."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise EmbeddedError(
            f"The Python package {package} is missing: run `make setup`, or set DATABASE_URL and REDIS_URL "
            "to servers of your own."
        )
    return Path(next(iter(found.submodule_search_locations)))


@cache
def find(package: str, path: str) -> Path:
    """A binary of a package, proven to run. Installs a missing system library where that can be done."""
    binary = package_folder(package) / path
    if not binary.is_file():
        raise EmbeddedError(f"{binary} is missing: the package {package} has no binary for this machine.")
    tried: set[str] = set()
    while library := missing_library(binary):
        if library in tried:
            raise EmbeddedError(
                f"{library} is still missing for {binary.name} after an attempt to install it."
            )
        tried.add(library)
        install_library(library, wanted_by=binary.name)
    return binary


def missing_library(binary: Path) -> str | None:
    """The first shared library that the dynamic linker does not find, if any."""
    result = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=30)
    found = MISSING_LIBRARY.search(result.stderr)
    if found:
        return found.group(1)
    if result.returncode:
        raise EmbeddedError(f"{binary} does not run here: {result.stderr.strip() or result.returncode}")
    return None


def install_library(library: str, *, wanted_by: str) -> None:
    """Install a shared library by apt-get. Raises EmbeddedError, naming it, where that cannot be done."""
    package = DEBIAN_PACKAGES.get(library)
    remedy = f"apt-get install {package}" if package else f"the system package that holds {library}"
    if package is None or os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise EmbeddedError(f"{wanted_by} needs the system library {library}. Install it: {remedy}.")
    print(f"{wanted_by} needs the system library {library}: {remedy}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-qy", package]):
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        if result.returncode:
            raise EmbeddedError(f"`{' '.join(command)}` failed: {result.stderr.strip()[-500:]}")
