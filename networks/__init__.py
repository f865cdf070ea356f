"""Networks for video object segmentation.

``build_model`` is the way in: a name of the model zoo and a checkpoint give a network that is ready for
:class:`evaluators.VideoSegmenter`.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Mapping

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from voskit.configs import get_model_config, suggest
from voskit.networks.checkpoints import (
    load_encoder,
    load_weights,
    mean_of_weights,
    own_fields,
    read_checkpoint,
    save_weights,
)
from voskit.networks.models import build_network

logger = logging.getLogger(__name__)


def default_device() -> torch.device:
    """CUDA where there is one, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def build_model(
    name: str,
    checkpoint: str | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
    *,
    encoder_checkpoint: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | None = None,
    **fields: object,
) -> nn.Module:
    """Build a network of the model zoo in evaluation mode.

    Args:
        name: a registered model, see ``voskit.configs.list_models()``.
        checkpoint: a file that the authors published, or one of the project's own ``.safetensors``, which also says
            what network it is of and how it is run, where ``fields`` don't: all of the config but its
            ``training_only``.
            None: the weights are random, which is logged as a warning.
        device: where the network goes; None takes CUDA, else MPS, else the CPU.
        encoder_checkpoint: ImageNet weights for the encoder, where there is no checkpoint; for a network with several
            encoders a file for each, by the config's field that names it (``encoder_weights``, ...).
        **fields: fields of the model's config to change.

    Raises:
        ValueError: unknown model or field, or a file that isn't a checkpoint of this model.
        FileNotFoundError: no such file.
    """
    config = get_model_config(name, **fields)
    place = _usable_device(device)
    source = read_checkpoint(checkpoint) if checkpoint is not None else None
    if source is not None:
        if own := own_fields(source, name):
            text = ", ".join(f"{k}={v}" for k, v in own.items())
            logger.info("%s: run with %s unless told otherwise", source.path, text)
        implied = config.implied_fields({k: v.shape for k, v in source.state.items()})
        config = get_model_config(name, **{**own, **implied}).override(**fields)
    network = build_network(config)
    if source is not None:
        logger.info("%s", load_weights(network, source))
    elif encoder_checkpoint is not None:
        logger.warning("%s: all weights but the encoder's are random", name)
        _load_encoders(network, encoder_checkpoint)
    else:
        logger.warning("%s: no checkpoint was given, all weights are random", name)
    return network.to(place).eval()


def compile_network(network: nn.Module, backend: str = "inductor") -> None:
    """Let ``torch.compile`` fuse the parts of a network, in place; names of tensors stay.

    The parts are compiled when they are first called, and again when the memory's size first changes.
    """
    for part, name in _calls(network):
        if name == "forward":
            part.compile(backend=backend)
        else:
            setattr(part, name, torch.compile(getattr(part, name), backend=backend))


def checkpoint_activations(network: nn.Module) -> None:
    """Let the parts of a network keep no activations for the gradient and compute them again there, in place.

    Training takes about a third longer and much less memory; results are the same.
    """
    for part, name in _calls(network):
        if not isinstance(part, nn.Conv2d):  # recomputing takes as much memory as it saves
            setattr(part, name, functools.partial(checkpoint, getattr(part, name), use_reentrant=False))


def _calls(network: nn.Module) -> list[tuple[nn.Module, str]]:
    """Where a network spends its time, as modules and names of methods: what it says, or its children's ``forward``."""
    own: list[tuple[nn.Module, str]] | None = getattr(network, "costly_calls", None)
    return [(part, "forward") for part in network.children()] if own is None else own


def _load_encoders(network: nn.Module, files: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]]) -> None:
    """Load the ImageNet weights of a network's encoders."""
    encoders: Mapping[str, nn.Module] = network.pretrained_encoders  # type: ignore[assignment]
    if not isinstance(files, Mapping):
        files = {"encoder_weights": files}
    for name, path in files.items():
        if name not in encoders:
            raise ValueError(f"the network has no encoder {name!r}: {suggest(name, encoders)}")
        logger.info("%s", load_encoder(encoders[name], path))


def _usable_device(device: str | torch.device | None) -> torch.device:
    """The device that is meant, after trying that it is there."""
    try:
        place = default_device() if device is None else torch.device(device)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError) as error:  # what torch raises for unknown names and for absent hardware
        raise ValueError(f"device {device!r} can't be used here: {str(error).splitlines()[0]}") from error
    return place


__all__ = [
    "build_model",
    "build_network",
    "checkpoint_activations",
    "compile_network",
    "default_device",
    "load_encoder",
    "load_weights",
    "mean_of_weights",
    "save_weights",
]
