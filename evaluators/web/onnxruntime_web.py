"""Files of onnxruntime-web, from an installed npm package or from npm's registry."""

from __future__ import annotations

import logging
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voskit.dataloaders.files import load_json
from voskit.networks.weights import is_offline

logger = logging.getLogger(__name__)

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
"""Version that is fetched; the page was tested with it."""
FILES = (
    "ort.wasm.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.bundle.min.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
"""Files of ``dist`` that the page loads: for WebAssembly the first two, for WebGPU the others."""

_SECONDS = 600


@contextmanager
def runtime_files(named: Path | None = None, start: Path | None = None) -> Iterator[tuple[Path, str]]:
    """Yield the folder of ``FILES`` and the version of the package; a fetched package is removed at the end.

    Args:
        named: an installed package or its ``dist``. None: ``node_modules`` in ``start`` or a folder above it, else the
            package is fetched with npm.
        start: the folder where the search begins. Default: the working folder.

    Raises:
        FileNotFoundError: the package isn't there and can't be fetched; the message says what to do.
    """
    if named is not None:
        yield _dist_of(named)
        return
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (installed := folder / "node_modules" / PACKAGE).is_dir():
            logger.info("using %s from %s", PACKAGE, installed)
            yield _dist_of(installed)
            return
    with tempfile.TemporaryDirectory() as scratch:
        yield _dist_of(fetch(Path(scratch)))


def fetch(folder: Path) -> Path:
    """Fetch the package with npm and return its unpacked folder.

    Raises:
        FileNotFoundError: npm is missing or fails, or ``VOSKIT_OFFLINE`` is set.
    """
    wanted = f"{PACKAGE}@{VERSION}"
    by_hand = f"run npm install {wanted} and pass node_modules/{PACKAGE} to --onnxruntime_web"
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError(f"{PACKAGE} is not installed, and npm isn't installed: install Node.js, or {by_hand}")
    if is_offline():
        raise FileNotFoundError(f"{PACKAGE} is not installed, and VOSKIT_OFFLINE is set: {by_hand}")
    logger.info("fetching %s with npm (33 MB)", wanted)
    command = [npm, "pack", wanted, "--pack-destination", str(folder), "--json", "--prefer-offline"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, cwd=folder)
    except subprocess.TimeoutExpired as error:
        raise FileNotFoundError(f"npm pack {wanted} took more than {_SECONDS} s: {by_hand}") from error
    archive = folder / f"{PACKAGE}-{VERSION}.tgz"
    if done.returncode or not archive.is_file():
        lines = [line for line in done.stderr.splitlines() if line.startswith("npm error")] or [done.stderr.strip()]
        raise FileNotFoundError(f"npm pack {wanted} failed ({lines[0]}): {by_hand}")
    with tarfile.open(archive) as tar:
        for name in ("package.json", *(f"dist/{name}" for name in FILES)):
            tar.extract(f"package/{name}", folder, filter="data")
    return folder / "package"


def _dist_of(package: Path) -> tuple[Path, str]:
    """Return the folder of a package that holds its files, and the version."""
    dist = package / "dist" if (package / "dist").is_dir() else package
    for name in FILES:
        if not (dist / name).is_file():
            raise FileNotFoundError(
                f"{dist / name} doesn't exist: --onnxruntime_web takes the package {PACKAGE} {VERSION} or its dist"
            )
    description = dist.parent / "package.json"
    version = load_json(description)["version"] if description.is_file() else "unknown"
    if version != VERSION:
        logger.warning("the page was tested with %s %s, this one is %s", PACKAGE, VERSION, version)
    return dist, version
