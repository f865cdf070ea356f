"""Type check of a page's JavaScript by the TypeScript compiler of the machine; nothing is installed here."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest


def check_types(page: Path, scratch: Path) -> None:
    """Fail unless all modules below a folder are right; skip without a compiler."""
    compiler = shutil.which("tsc")
    if compiler is None:
        pytest.skip("tsc is not installed (npm install -g typescript)")
    options = {"checkJs": True, "allowJs": True, "noEmit": True, "strict": True, "skipLibCheck": True, "types": []}
    options |= {"target": "es2022", "module": "es2022", "moduleResolution": "bundler"}
    options |= {"lib": ["es2022", "dom", "dom.iterable"]}
    (scratch / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "include": [f"{page}/**/*.js"]}))
    done = subprocess.run([compiler, "-p", str(scratch / "tsconfig.json")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
