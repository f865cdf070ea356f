"""Export of a model as a folder of stateless ONNX graphs and a manifest that describes them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

import voskit
from voskit.configs import PropagationConfig
from voskit.dataloaders.files import atomic_write, atomic_write_text, make_folder
from voskit.dataloaders.masks.palette import davis_palette
from voskit.dataloaders.transforms import IMAGENET_MEAN, IMAGENET_STD, input_size
from voskit.networks.export.graphs import Graph
from voskit.networks.inference import folded
from voskit.networks.models.base import Network
from voskit.runtime.graphs import FORMAT, MANIFEST, VERSION

if TYPE_CHECKING:
    import onnx

logger = logging.getLogger(__name__)

OPSET = 18
"""Version of the ONNX operators; runtimes and browsers since 2023 support it."""
FAMILIES = ("aot", "deaot", "aost", "xmem", "referformer")
"""Families that can be exported."""

_OWN_RULES = ("presence_frames", "merge_old_memory", "vote_in_regions")
"""Fields of the config that the engines apply, and the graphs don't."""

Precision = Literal["fp32", "fp16", "int8"]


def check_exportable(config: Any, size: tuple[int, int], objects: int, memory_frames: int) -> None:
    """Raise a ValueError if a model can't be exported with these settings, before its weights are loaded.

    Args:
        config: config of the model.
        size: height and width of the frames.
        objects: maximum number of objects.
        memory_frames: maximum number of frames in the long-term memory.
    """
    if config.family not in FAMILIES:
        raise ValueError(
            f"{type(config).__name__} can't be exported as ONNX; supported families: {', '.join(FAMILIES)}"
        )
    if own := [field for field in _OWN_RULES if getattr(config, field, None)]:
        raise ValueError(f"{own[0]} is not part of ONNX graphs: export without it")
    if config.family != "xmem" and getattr(config, "enable_long_term", False):  # as published, XMem has it
        raise ValueError("enable_long_term adds prototypes, which are not part of ONNX graphs: export without it")
    if config.encoder.startswith("video_swin"):
        from voskit.networks.encoders.video_swin import VideoSwin

        if not 1 <= (config.window or 0) <= (most := VideoSwin.temporal_window):
            raise ValueError(
                f"ReferFormer with {config.encoder} can be exported for windows of up to {most} frames, the limit "
                f"of its encoder: add --window {most}"
            )
    if min(size) < 16:
        raise ValueError(f"--size {size[0]}x{size[1]}: both sides must be 16 pixels or more")
    for flag, number in (("--objects", objects), ("--memory_frames", memory_frames)):
        if number < 1:
            raise ValueError(f"{flag} must be 1 or more, got {number}")
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(f"ONNX export needs the package {error.name}: pip install voskit[onnx]") from error


@torch.no_grad()
def export_onnx(
    model: Network,
    folder: str | os.PathLike[str],
    *,
    name: str,
    size: tuple[int, int] = (480, 864),
    objects: int = 10,
    memory_frames: int = 8,
    license_text: str = "that of the weights",
) -> Path:
    """Export a model as float32 graphs and return the path of the manifest, which is written last.

    A model with text prompts is one graph, ``window``, and its tokenizer's files. For others, the long-term memory
    holds frames, up to ``memory_frames``; prototypes are left out. AOST runs at the depth that its network was built
    with.

    Args:
        model: a network of ``voskit.build_model``.
        folder: made if it doesn't exist; files of an earlier export are replaced.
        name: the model's name.
        size: height and width of the frames. The network's input size follows from it by the model's rule.
        objects: maximum number of objects, rounded up to whole groups of identities.
        memory_frames: maximum number of frames in the long-term memory.
        license_text: license of the weights.

    Raises:
        ValueError: the model can't be exported; packages are missing.
        OSError: the folder can't be written.
    """
    import onnx

    check_exportable(model.config, size, objects, memory_frames)
    target = Path(folder)
    make_folder(target)
    (target / MANIFEST).unlink(missing_ok=True)
    config = model.config
    image_size = input_size(*size, **config.input_rule())
    log_enlarged(config, size)
    network = folded(model).eval()
    if config.family == "referformer":
        graphs, details = _referformer(network, image_size, target)
    elif config.family == "xmem":
        graphs, details = _xmem(network, image_size, memory_frames, objects)
    else:
        graphs, details = _aot(network, image_size, memory_frames, objects)
    entries = {}
    for graph_name, graph in graphs.items():
        logger.info("exporting %s", graph_name)
        entries[graph_name] = save_graph(target, graph_name, _onnx(graph))
    if isinstance(config, PropagationConfig):
        entries["resize"] = save_graph(target, "resize", _resize(details.pop("align_corners")))
        details |= {
            "memory_frames": memory_frames,
            "long_term_gap": config.long_term_gap,
            "short_term_skip": config.short_term_skip,
            "background": config.background,
            "stray_distance": getattr(config, "stray_distance", None),
        }
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "voskit": voskit.__version__,
        "onnx": onnx.__version__,
        "model": name,
        "family": config.family,
        "precision": "fp32",
        "frame_size": list(size),
        "image_size": list(image_size),
        **details,
        "preprocessing": {
            "interpolation": config.interpolation,
            "scale": 255,
            "mean": IMAGENET_MEAN.tolist(),
            "std": IMAGENET_STD.tolist(),
            "layout": "RGB, [1, 3, height, width] float32",
        },
        "palette": list(davis_palette()),
        "digest": weights_digest(model),
        "license": license_text,
        "config": config.to_dict(),
        "graphs": entries,
    }
    atomic_write_text(target / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    return target / MANIFEST


def log_enlarged(config: Any, size: tuple[int, int]) -> None:
    """Log a warning if ``min_short_edge`` enlarges frames of this size."""
    rule = config.input_rule()
    if "min_short_edge" not in rule:
        return
    native, enlarged = (input_size(*size, **r) for r in ({**rule, "min_short_edge": None}, rule))
    if native != enlarged:
        logger.warning(
            "frames of %dx%d pixels (height x width) are enlarged to %dx%d for the network: for a smaller input add "
            "--set min_short_edge=%d",
            *size, *enlarged, min(size),
        )  # fmt: skip


def save_graph(folder: Path, name: str, model: onnx.ModelProto) -> dict[str, Any]:
    """Write a graph as ``NAME.onnx`` and return its entry in the manifest."""
    import onnx

    path = folder / f"{name}.onnx"
    with atomic_write(path) as temporary:
        onnx.save(model, str(temporary))
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}


def weights_digest(model: Network) -> str:
    """Return the SHA-256 of all tensors of a network, with their names and shapes."""
    digest = hashlib.sha256()
    for name, x in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(x.shape)} {x.dtype}".encode())
        digest.update(x.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _aot(network: Any, size: tuple[int, int], frames: int, objects: int) -> tuple[Mapping[str, Graph], dict[str, Any]]:
    """Return the graphs of AOT, DeAOT or AOST and their entries in the manifest."""
    from voskit.networks.export.aot import aot_graphs
    from voskit.networks.export.graphs import least_frames

    config = network.config
    graphs = aot_graphs(network, size, frames)
    projected = graphs["propagate"].inputs["projected"]
    identities = config.max_objects
    return graphs, {
        "input_size": list(size),
        "positions": list(projected.shape[2:]),
        "identities": identities,
        "objects": -(-objects // identities) * identities,
        "min_memory_frames": min(frames, least_frames(config.top_k, projected.shape[2] * projected.shape[3])),
        "neighbors_apart": config.neighbors_apart,
        "align_corners": config.align_corners,
        "depth": config.depths[-1] if config.depths else None,
    }


def _xmem(network: Any, size: tuple[int, int], frames: int, objects: int) -> tuple[Mapping[str, Graph], dict[str, Any]]:
    """Return the graphs of XMem and their entries in the manifest."""
    from voskit.networks.engines.per_object import pad_to_stride
    from voskit.networks.export.graphs import least_frames
    from voskit.networks.export.xmem import xmem_graphs

    config = network.config
    padded, padding = pad_to_stride(torch.zeros(1, 3, *size))
    height, width = padded.shape[2:]
    graphs = xmem_graphs(network, (height, width), frames, config.top_k)
    positions = [height // 16, width // 16]
    return graphs, {
        "input_size": [height, width],
        "padding": list(padding),
        "positions": positions,
        "objects": objects,
        "min_memory_frames": min(frames, least_frames(config.top_k, positions[0] * positions[1])),
        "hidden_shape": [config.hidden_dim, *positions] if config.hidden_dim else None,
        "deep_update_every": config.deep_update_every,
        "align_corners": False,
    }


def _referformer(network: Any, size: tuple[int, int], folder: Path) -> tuple[Mapping[str, Graph], dict[str, Any]]:
    """Return the graph of ReferFormer and its entries in the manifest, and copy its tokenizer's files."""
    from voskit.dataloaders.tokenizer import END, MAX_TOKENS, PAD, START, TOKENIZER
    from voskit.networks.export.referformer import referformer_graphs

    files = {}
    for name in ("vocab.json", "merges.txt"):
        content = (TOKENIZER / name).read_bytes()
        with atomic_write(folder / name) as temporary:
            temporary.write_bytes(content)
        files[name] = {"file": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    return referformer_graphs(network, size), {
        "window": network.config.window,
        "most_frames": network.encoder.temporal_window,
        "candidates": network.config.num_queries,
        "threshold": network.config.threshold,
        "tokens": {
            "start": START,
            "pad": PAD,
            "end": END,
            "longest": MAX_TOKENS,
            "count": network.text_encoder.config.vocab_size,
            "files": files,
        },
    }


def _onnx(graph: Graph) -> onnx.ModelProto:
    """Convert a graph to ONNX."""
    names = {name for axes in graph.axes.values() for name in axes.values()}
    lengths = {name: torch.export.Dim(name, min=graph.least.get(name, 1), max=graph.most.get(name)) for name in names}
    shapes = tuple({axis: lengths[n] for axis, n in graph.axes.get(name, {}).items()} for name in graph.inputs)
    for chatty in ("onnxscript", "onnx_ir", "torch.onnx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("onnxscript.optimizer").setLevel(logging.ERROR)  # it warns about each Split that it keeps
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # exported here, since torch.onnx would silently fix a length that it can't keep variable
        exported = torch.export.export(
            graph.module, tuple(graph.inputs.values()), dynamic_shapes=(shapes,), strict=False
        )
        program = torch.onnx.export(
            exported,
            input_names=list(graph.inputs),
            output_names=graph.outputs,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def _resize(align_corners: bool) -> onnx.ModelProto:
    """Make a graph that resizes maps bilinearly, as PyTorch does."""
    from onnx import TensorProto, helper

    mode = "align_corners" if align_corners else "pytorch_half_pixel"
    node = helper.make_node("Resize", ["x", "", "", "size"], ["y"], mode="linear", coordinate_transformation_mode=mode)
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "channels", f"{name}_height", f"{name}_width"])
        for name in ("x", "y")
    )
    size = helper.make_tensor_value_info("size", TensorProto.INT64, [4])
    return helper.make_model(
        helper.make_graph([node], "resize", [x, size], [y]),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=9,
    )
