"""Annotation server with a stand-in for the network, in a process of its own: serve.py PATH RESULTS PORT SECONDS."""

from __future__ import annotations

import contextlib
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from standin import StandInSegmenter

from voskit.evaluators.annotation.start import ServerOptions, annotate

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    clip, results, port, seconds = sys.argv[1:]
    options = ServerOptions(port=int(port), open_browser=False)
    with contextlib.suppress(KeyboardInterrupt):
        annotate(
            Path(clip),
            Path(results),
            "stand-in",
            lambda: StandInSegmenter(float(seconds)),  # type: ignore[arg-type,return-value]
            options,
        )
