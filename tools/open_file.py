"""Opening of a result in the program that the desktop has for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path


def open_file(path: Path) -> bool:
    """Open a file in the desktop's program for it, without waiting; return False if there is no desktop."""
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


def open_result(folder: Path) -> str | None:
    """Open a clip's overlay video, or its contact sheet if there is none.

    Returns:
        None if it is shown, otherwise a line that says where to find it.
    """
    path = next((p for name in ("overlay.mp4", "contact_sheet.png") if (p := folder / name).exists()), folder)
    return None if open_file(path) else f"--open: there is no desktop to show it on: open {path.resolve()}"
