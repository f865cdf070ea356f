"""Checkpoints: strict loading of published files and files of voskit, without running code from a file."""

from __future__ import annotations

import functools
import json
import logging
import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from voskit.configs import INFERENCE_FIELDS, ModelConfig, get_model_config, list_models, model_name
from voskit.dataloaders.files import atomic_write
from voskit.networks.checkpoint_files import WRAPPER_INSIDE, averaged_first, read_file
from voskit.networks.families import build_network, could_hold
from voskit.networks.models.base import Network

logger = logging.getLogger(__name__)

COMPUTED = re.compile(r"(^|\.)relative_position_index$")
"""Tensors that the architecture determines, so that a file may omit them."""
COUNTERS = re.compile(r"(^|\.)num_batches_tracked$")
"""Counters of batch norms, which frozen batch norms lack."""

_PROBES = 5
"""Number of a network's names used to search for prefixes."""
_WRAPPERS = ("module.", "_orig_mod.", "model.")
"""Prefixes that DistributedDataParallel, torch.compile and training frameworks add to every name."""


@dataclass
class Checkpoint:
    """Contents of a checkpoint file."""

    path: Path
    state: dict[str, Tensor]
    kind: str
    """Format of the file: ``"safetensors"`` or ``"torch"``."""
    metadata: dict[str, str] = field(default_factory=dict)
    """Name (``model``) and config (``config``, JSON) of the model, in files written by voskit."""
    prefix: str = ""
    """Prefix that was removed from each name."""


@dataclass
class LoadReport:
    """Load report: the outcome for each tensor."""

    path: Path
    matched: list[str] = field(default_factory=list)
    converted: dict[str, str] = field(default_factory=dict)
    """Description of each conversion, by the name of the tensor."""
    ignored: dict[str, str] = field(default_factory=dict)
    """Reason for ignoring each unused tensor of the file, by name."""
    absent: dict[str, str] = field(default_factory=dict)
    """Reason for accepting each tensor that the file lacks, by name."""

    def __str__(self) -> str:
        text = f"{self.path}: {len(self.matched)} tensors loaded"
        for what, entries in (("converted", self.converted), ("ignored", self.ignored), ("not in it", self.absent)):
            for reason in dict.fromkeys(entries.values()):
                names = [n for n, r in entries.items() if r == reason]
                text += f"; {len(names)} {what} ({reason}: {', '.join(names[:2])}{', ...' if len(names) > 2 else ''})"
        return text


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read the weights in a ``.safetensors`` or ``torch.save`` file, or in a zip file that contains one.

    The weights may be the whole content or be nested under a key such as ``state_dict``; see
    :func:`voskit.networks.checkpoint_files.find_weights_in`. Prefixes of wrappers (``module.``, ``_orig_mod.``,
    ``model.``) are removed from the names. Trainer checkpoints yield the averaged weights.

    Raises:
        FileNotFoundError: the file doesn't exist.
        ValueError: the file isn't a checkpoint, is truncated, or contains objects that could run code or several
            networks; the message says which.
    """
    content = read_file(Path(path))
    prefix, state = "", {WRAPPER_INSIDE.sub("", name): x for name, x in content.state.items()}
    if len(state) < len(content.state):
        state = dict(content.state)
    while state and (more := next((p for p in _WRAPPERS if all(k.startswith(p) for k in state)), "")):
        prefix += more
        state = {k.removeprefix(more): v for k, v in state.items()}
    return Checkpoint(Path(path), state, content.kind, content.metadata, prefix)


def load_weights(network: Network, checkpoint: Checkpoint) -> LoadReport:
    """Load all weights of a network, strictly.

    Raises:
        ValueError: tensors are missing, unknown, not finite or have a different shape. The message names the models
            that the file fits.
    """
    report = LoadReport(checkpoint.path)
    own = network.state_dict()
    state = _without_owner(checkpoint, own, report)
    if checkpoint.prefix:
        report.converted |= dict.fromkeys(state, f"without the prefix {checkpoint.prefix!r}")
    for name, (adapted, conversion) in network.adapt_checkpoint(state).items():
        state[name] = adapted
        report.converted[name] = conversion
    for name in [n for n in state if COUNTERS.search(n) and n not in own]:
        del state[name]
        report.ignored[name] = "counters of batch norms, whose statistics are frozen"
    for name in [n for n in own if COMPUTED.search(n) and n not in state]:
        state[name] = own[name]
        report.absent[name] = "follows from the window's size"
    report.ignored |= network.ignored_tensors({name: x.shape for name, x in state.items()})
    state = {name: x for name, x in state.items() if name not in report.ignored}
    _check(network, own, state, checkpoint)
    _copy(network, state, report)
    return report


def _without_owner(checkpoint: Checkpoint, own: Mapping[str, Tensor], report: LoadReport) -> dict[str, Tensor]:
    """Return the tensors of the network in the state of an object that owns it, such as a training module.

    They are those under a prefix (``net.``, ``ema_model.module.``) that covers most names of the network. If the file
    contains several copies, averaged ones are preferred, and a warning is logged.

    Raises:
        ValueError: there are several copies, none of which is known to be the averaged or the trained one.
    """
    state = checkpoint.state
    if 2 * len(state.keys() & own.keys()) > len(own):
        return dict(state)
    ends = Counter(name[: -len(one)] for one in list(own)[:_PROBES] for name in state if name.endswith("." + one))
    prefixes = [p for p in ends if 2 * sum(p + one in state for one in own) > len(own)]
    if not prefixes:
        return dict(state)
    copies = {p: {name[len(p) :]: x for name, x in state.items() if name.startswith(p)} for p in prefixes}
    prefix = averaged_first(checkpoint.path, copies)
    report.converted |= dict.fromkeys(copies[prefix], f"without the prefix {prefix!r}")
    report.ignored |= dict.fromkeys((n for n in state if not n.startswith(prefix)), f"outside of {prefix[:-1]!r}")
    return copies[prefix]


def _check(network: nn.Module, own: dict[str, Tensor], state: dict[str, Tensor], checkpoint: Checkpoint) -> None:
    """Raise a one-line error unless both sides have the same names and shapes and all values are finite."""
    wrong = []
    for what, names in (
        ("missing", [n for n in own if n not in state]),
        ("unknown", [n for n in state if n not in own]),
        ("of a different shape", [n for n in own if n in state and own[n].shape != state[n].shape]),
    ):
        if names:
            n = names[0]
            shapes = f" {list(state[n].shape)} for {list(own[n].shape)}" if what == "of a different shape" else ""
            wrong.append(f"{len(names)} tensors are {what} ({n}{shapes}{', ...' if len(names) > 1 else ''})")
    if wrong:
        config = getattr(network, "config", None)
        asked = model_name(config) if isinstance(config, ModelConfig) else type(network).__name__
        fits = [m for m in models_that_fit(checkpoint.state) if m != asked]
        hint = f"it fits {' or '.join(fits)}" if fits else f"{len(own)} tensors are expected, but it has {len(state)}"
        written = checkpoint.metadata.get("model")
        hint = f"according to its metadata, it is a checkpoint of {written}" if written and written != asked else hint
        if written == asked and isinstance(config, ModelConfig) and (other := _other_fields(checkpoint, config)):
            hint = f"it was written with {other}"
        raise ValueError(f"checkpoint {checkpoint.path} doesn't fit {asked}: {'; '.join(wrong)}; {hint}")
    for name, x in state.items():
        if x.is_floating_point() and not x.to(own[name].dtype).isfinite().all():
            raise ValueError(f"checkpoint {checkpoint.path} is damaged: {name} holds values that are not finite")


def own_fields(checkpoint: Checkpoint, name: str) -> dict[str, Any]:
    """Return the config fields in a voskit file that differ from the model's defaults.

    Training-only fields are left out. The result is empty for files of other models and for published files.
    """
    if checkpoint.metadata.get("model") != name:
        return {}
    default = get_model_config(name)
    written = default.present_names(json.loads(checkpoint.metadata.get("config", "{}")))
    fields = default.to_dict().keys() - set(default.training_only)
    written = {k: tuple(v) if isinstance(v, list) else v for k, v in written.items() if k in fields}
    return {k: v for k, v in written.items() if v != getattr(default, k)}


def _other_fields(checkpoint: Checkpoint, config: ModelConfig) -> str:
    """List, as text, the config fields that affect tensor shapes and differ between a voskit file and a network."""
    written = config.present_names(json.loads(checkpoint.metadata.get("config", "{}")))
    shaping = {k: v for k, v in written.items() if k not in INFERENCE_FIELDS}
    return ", ".join(f"{k}={v}" for k, v in shaping.items() if config.to_dict().get(k, v) != v)


def _copy(network: nn.Module, state: dict[str, Tensor], report: LoadReport) -> None:
    """Copy tensors with equal names and shapes into a network, and report dtype changes."""
    own = network.state_dict()
    for name, x in state.items():
        if x.dtype != own[name].dtype:
            report.converted[name] = f"{x.dtype} to {own[name].dtype}".replace("torch.", "")
        if name not in report.absent:
            report.matched.append(name)
    network.load_state_dict(state, strict=True)


def models_that_fit(state: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the registered models whose tensors have exactly these names and shapes."""

    def shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
        return {k: v.shape for k, v in tensors.items() if not COMPUTED.search(k) and not COUNTERS.search(k)}

    fitting = []
    in_file = shapes(state)
    for name in list_models():
        config = get_model_config(name)
        try:
            if not could_hold(config, in_file):
                continue
            network = _on_meta_device(config.override(**config.implied_fields(in_file)))
        except (ValueError, RuntimeError) as error:  # a package is missing, or building needs real tensors
            logger.debug("%s is not compared: %s", name, error)
            continue
        ignored = network.ignored_tensors(in_file)
        if shapes(network.state_dict()) == {k: v for k, v in in_file.items() if k not in ignored}:
            fitting.append(name)
    return fitting


@functools.cache
def _on_meta_device(config: ModelConfig) -> Network:
    """Build a network on the meta device, cached per process: building all 35 takes seconds."""
    with torch.device("meta"):
        return build_network(config)


def load_encoder(encoder: Any, path: str | os.PathLike[str]) -> LoadReport:
    """Load pretrained weights into an encoder, as published by torchvision, timm, the Swin authors or transformers.

    Args:
        encoder: a module that implements :class:`voskit.networks.encoders.base.Pretrained`.
        path: the file.

    Raises:
        FileNotFoundError, ValueError: as for whole networks, see :func:`load_weights` and :func:`read_checkpoint`.
    """
    checkpoint = read_checkpoint(path)
    report = LoadReport(checkpoint.path)
    own = encoder.state_dict()
    used = {}
    for name, x in checkpoint.state.items():
        if name.startswith(encoder.pretrained_unused):
            report.ignored[name] = "after the last map that is used"
        elif COUNTERS.search(name) and name not in own:
            report.ignored[name] = "counters of batch norms, whose statistics are frozen"
        else:
            used[name] = x
    used = encoder.convert_pretrained(used)
    for name in own:
        if name not in used and name.startswith(encoder.pretrained_absent or ("\0",)):
            used[name] = own[name]
            report.absent[name] = "not in ImageNet networks, keeps its initial value"
        elif name not in used and (COMPUTED.search(name) or COUNTERS.search(name)):
            used[name] = own[name]
            report.absent[name] = "follows from the architecture"
    _check(encoder, own, used, Checkpoint(checkpoint.path, used, checkpoint.kind))
    _copy(encoder, used, report)
    return report


def mean_of_weights(networks: Sequence[nn.Module], shares: Sequence[float]) -> dict[str, Tensor]:
    """Average the floating-point tensors of several networks; take other tensors from the first one.

    The average of several checkpoints of one training run, or of runs fine-tuned from the same weights, is often better
    than each of them (model soups, Wortsman et al., ICML 2022).

    Args:
        networks: networks whose tensors have the same names and shapes.
        shares: positive weight of each network in the average, normalized to a sum of 1.

    Returns:
        a state dict.

    Raises:
        ValueError: the networks have different tensors, the numbers of networks and shares differ, or the sum of the
            shares isn't positive and finite.
    """
    if len(shares) != len(networks) or not 0 < sum(shares) < math.inf:
        raise ValueError(
            f"the mean of {len(networks)} networks needs {len(networks)} shares with a positive, finite sum, got "
            f"{list(shares)}"
        )
    states = [network.state_dict() for network in networks]
    shapes = [{k: v.shape for k, v in state.items()} for state in states]
    for place, own in enumerate(shapes):
        if other := sorted(k for k in own.keys() | shapes[0].keys() if own.get(k) != shapes[0].get(k)):
            raise ValueError(f"network {place + 1} can't be averaged with the first one: {other[0]} differs")
    parts = [share / sum(shares) for share in shares]

    def mean(name: str) -> Tensor:
        return torch.stack([p * s[name].cpu().double() for p, s in zip(parts, states, strict=True)]).sum(0)

    return {k: mean(k).to(x.dtype) if x.is_floating_point() else x for k, x in states[0].items()}


def save_weights(network: Network, path: str | os.PathLike[str], dtype: torch.dtype | None = None) -> None:
    """Write a network's weights and config as safetensors, atomically.

    Args:
        network: a network of a registered model.
        path: file to write, ``*.safetensors``.
        dtype: dtype of floating-point tensors in the file. Default: unchanged.

    Raises:
        ValueError: a value overflows ``dtype``.
        OSError: the file can't be written.
    """
    path = Path(path)
    config = network.config
    state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    if dtype is not None:
        state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
        if too_large := [k for k, v in state.items() if v.is_floating_point() and not v.isfinite().all()]:
            raise ValueError(f"{path}: {too_large[0]} holds values that overflow {dtype}")
    metadata = {"model": model_name(config), "config": json.dumps(config.to_dict())}
    with atomic_write(path, "the checkpoint") as temporary:
        temporary.write_bytes(save(state, metadata))  # save_file() ignores the umask and makes the file private
