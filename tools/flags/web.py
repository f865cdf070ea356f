"""Flags of ``voskit export --format web``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voskit.configs import get_model_config

if TYPE_CHECKING:
    from voskit.tools.flags.export import ExportArgs


def export_page(args: ExportArgs) -> int:
    """Export a model as a folder with a page that runs it and return the exit code."""
    from voskit.dataloaders.files import load_json
    from voskit.evaluators.web.check import write_check
    from voskit.evaluators.web.onnxruntime_web import runtime_files
    from voskit.evaluators.web.page import FAMILIES, write_page, write_readme, write_runtime
    from voskit.tools.flags.onnx import check_flags, export_folder

    family = get_model_config(args.model).family
    if family not in FAMILIES:
        raise ValueError(f"--format web: the page runs models of {', '.join(FAMILIES)}, not {args.model}")
    check_flags(args)  # before onnxruntime-web is fetched
    with runtime_files(args.onnxruntime_web) as (dist, version):
        export_folder(args)
        write_runtime(args.output_path, dist)
    write_check(args.output_path)
    write_page(args.output_path)
    manifest = load_json(args.output_path / "manifest.json")
    write_readme(args.output_path, args.model, manifest["license"], version)
    print(f"serve it: python -m http.server -d {args.output_path} 8000, then open http://localhost:8000")
    return 0
