"""Install Blender, as the Python module bpy, in a virtual environment of its own.

    python scripts/install_blender.py

The environment is .engines/blender in the repository, or blender/ in the folder that YUNTU_ENGINES names, and
holds exactly what requirements/blender.txt locks. System libraries that the module needs are installed where
this process is root and apt-get is there, else named. A stamp with the hash of the lock makes the next call
return at once. Needs Python 3.11 and its standard library. Exits 1 with the reason when Blender cannot run.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
LOCK = REPOSITORY / "requirements" / "blender.txt"
SYSTEM_PACKAGES = REPOSITORY / "scripts" / "system-packages.txt"


def main() -> None:
    engines = Path(os.environ.get("YUNTU_ENGINES") or REPOSITORY / ".engines").resolve()
    environment = engines / "blender"
    if is_installed(environment):
        return
    if sys.version_info[:2] != (3, 11):
        sys.exit(f"Blender's module needs Python 3.11, this is {sys.version.split()[0]}: {sys.executable}")
    engines.mkdir(parents=True, exist_ok=True)
    with (engines / ".blender.lock").open("w") as guard:  # two first `make` runs may meet here
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not is_installed(environment):
            install(environment)


def is_installed(environment: Path, stamp: str = ".installed") -> bool:
    """True where the stamp matches the lock and the interpreter is still there."""
    file = environment / stamp
    return (environment / "bin" / "python").exists() and file.exists() and file.read_text() == lock_hash()


def install(environment: Path) -> None:
    """Build the environment from nothing and stamp it once `import bpy` has worked."""
    python = environment / "bin" / "python"
    if not is_installed(environment, ".packages"):  # else only system libraries were missing last time
        say(f"installing Blender into {environment} (about 1 GB, once)")
        shutil.rmtree(environment, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(environment)])
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        run([*pip, "install", "--require-hashes", "--only-binary=:all:", "-r", str(LOCK)])
        (environment / ".packages").write_text(lock_hash())

    missing = missing_libraries(environment)
    if missing:
        install_system_packages(missing)
    check = subprocess.run(
        [str(python), "-c", "import bpy; print(bpy.app.version_string)"], capture_output=True, text=True
    )
    if check.returncode:
        sys.exit(f"Blender was installed but does not start:\n{check.stderr or check.stdout}")
    (environment / ".installed").write_text(lock_hash())
    say(f"Blender {check.stdout.split()[-1]} is ready")


def missing_libraries(environment: Path) -> list[str]:
    """Names of shared libraries (libXi.so.6) that the module needs and this system lacks."""
    [module] = environment.glob("lib/python*/site-packages/bpy/__init__*.so")
    listing = subprocess.run(["ldd", str(module)], capture_output=True, text=True, check=True).stdout
    return sorted({line.split()[0] for line in listing.splitlines() if line.endswith("not found")})


def install_system_packages(missing: list[str]) -> None:
    """Install what system-packages.txt lists; exits with the names where that is not possible."""
    lines = SYSTEM_PACKAGES.read_text().splitlines()
    packages = [package for line in lines if (package := line.partition("#")[0].strip())]
    say(f"missing system libraries: {', '.join(missing)}")
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(
            "Blender needs system libraries that are not installed. On Debian or Ubuntu run, as root:\n"
            f"  apt-get install {' '.join(packages)}\nand then this command again."
        )
    say(f"installing {' '.join(packages)}")
    apt = ["apt-get", "-qq", "-o=Dpkg::Use-Pty=0"]
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run([*apt, "update"], env=quiet)
    run([*apt, "install", "-y", "--no-install-recommends", *packages], env=quiet)


def run(command: list[str], env: dict[str, str] | None = None) -> None:
    """Run `command`; its errors are shown, its chatter only where it fails."""
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}\nfailed with exit code {done.returncode}: {' '.join(command)}")


def lock_hash() -> str:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()


def say(text: str) -> None:
    print(f"[blender] {text}", flush=True)


if __name__ == "__main__":
    main()
