"""The page that runs an exported model in the browser."""

from __future__ import annotations

import shutil
from pathlib import Path

from voskit.dataloaders.files import atomic_write, atomic_write_text
from voskit.evaluators.web.onnxruntime_web import FILES, PACKAGE

STATIC = Path(__file__).parent / "static"
SHARED_STATIC = Path(__file__).parents[1] / "annotation" / "static"
SHARED = (
    "icon.svg",
    *(f"core/{name}.js" for name in ("editor", "raster", "store", "types")),
    *(f"dialogs/{name}.js" for name in ("dialog", "help")),
    *(f"panels/{name}.js" for name in ("actions", "dom", "keys", "messages", "playback")),
    *(f"panels/{name}.js" for name in ("shortcuts", "timeline", "toolbar", "view_controls")),
    *(f"styles/{name}.css" for name in ("base", "dialogs", "layout")),
    *(f"tools/{name}.js" for name in ("brush", "clicks", "fill", "polygon", "tool", "toolbox")),
    *(f"view/{name}.js" for name in ("colors", "painter", "stage")),
)
"""Files of the annotation page, used as they are."""
FAMILIES = ("aot", "deaot", "aost")
"""Families whose graphs the page runs."""

README = """Video object segmentation in the browser.

Serve this folder and open the printed address:

    python -m http.server 8000

A file:// address doesn't work, since browsers don't load modules from it. Any static host will do; no special headers
are needed. WebAssembly then runs on one thread. With the headers "Cross-Origin-Opener-Policy: same-origin" and
"Cross-Origin-Embedder-Policy: require-corp" it runs on several. WebGPU needs https or localhost.

Videos and masks stay in the browser: the page sends no request to another host.

Model: {model}. License of the weights: {license}.
ort/ holds files of {package} {version}, Copyright (c) Microsoft Corporation, MIT license.
"""


def write_page(folder: Path) -> None:
    """Write the page's files into a folder; leave other files alone."""
    own = [path.relative_to(STATIC).as_posix() for path in sorted(STATIC.rglob("*")) if path.is_file()]
    for root, names in ((SHARED_STATIC, SHARED), (STATIC, own)):
        for name in names:
            _copy(root / name, folder / name)


def write_runtime(folder: Path, dist: Path) -> None:
    """Copy the files of onnxruntime-web from its ``dist`` to ``ort``."""
    for name in FILES:
        _copy(dist / name, folder / "ort" / name)


def write_readme(folder: Path, model: str, license_text: str, version: str) -> None:
    """Write the README, with how to serve the folder and the licenses of its parts."""
    text = README.format(model=model, license=license_text, package=PACKAGE, version=version)
    atomic_write_text(folder / "README.txt", text)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as temporary:
        shutil.copyfile(source, temporary)
