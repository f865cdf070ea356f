"""Opening of results in the desktop's default program."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

logger = logging.getLogger(__name__)


def open_file(path: Path) -> bool:
    """Open a file in the desktop's default program, without waiting; return False if there is no desktop."""
    if sys.platform == "win32":
        os.startfile(path)
        return True
    if sys.platform == "darwin":
        command = "open"
    elif os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        command = "xdg-open"
    else:
        return False
    if (program := shutil.which(command)) is None:
        return False
    subprocess.Popen([program, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    return True


def open_result(folder: Path) -> None:
    """Open a clip's overlay video, or its contact sheet if there is none; log its path if there is no desktop."""
    path = next((p for name in ("overlay.mp4", "contact_sheet.png") if (p := folder / name).exists()), folder)
    if not open_file(path):
        logger.info("--open: there is no desktop; open this file yourself: %s", path.resolve())
