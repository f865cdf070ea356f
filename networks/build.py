"""Model builder: a network of the model zoo by name, with its weights."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

import torch

from voskit.configs import get_model_config, suggest
from voskit.networks.families import build_network
from voskit.networks.models.base import Network

logger = logging.getLogger(__name__)


def default_device() -> torch.device:
    """Return CUDA if available, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def build_model(
    name: str,
    checkpoint: str | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
    *,
    pretrained: bool | str = False,
    encoder_checkpoint: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | None = None,
    **fields: object,
) -> Network:
    """Build a network of the model zoo in evaluation mode.

    Args:
        name: a registered model, see ``voskit.configs.list_models()``.
        checkpoint: a published checkpoint, or a ``.safetensors`` file saved by voskit. The latter also stores the
            model's config, which is used except for ``training_only`` fields and those given as ``fields``.
            None: random weights, with a warning in the log, unless ``pretrained`` is set.
        device: device of the network. Default: CUDA if available, else MPS, else the CPU.
        pretrained: load published weights, downloading them on first use. True: the main variant, i.e. the bundled
            file for ``deaott`` and PRE_YTB_DAV for other AOT and DeAOT models. A string such as ``"PRE"``: that
            variant. See ``voskit.networks.weights.find_weights``.
        encoder_checkpoint: ImageNet weights for the encoder, to train from; ignored with ``checkpoint``. For a network
            with several encoders, a dict from config fields (``encoder_weights``, ...) to paths.
        **fields: config fields to override.

    Raises:
        ValueError: the model, a field or the variant is unknown, the device can't be used, or the file isn't a
            checkpoint of this model.
        FileNotFoundError: a file doesn't exist.
        OSError: the weights can't be downloaded or stored.
    """
    config = get_model_config(name, **fields)
    target = usable_device(device)
    if pretrained not in (False, None):
        from voskit.networks.weights import find_weights

        if checkpoint is not None:
            raise ValueError("give either pretrained or checkpoint, not both")
        checkpoint = find_weights(name, pretrained)
    if checkpoint is not None:
        return _from_checkpoint(name, checkpoint, fields).to(target).eval()
    network = build_network(config)
    if encoder_checkpoint is not None:
        logger.warning("%s: all weights but the encoder's are random", name)
        _load_encoders(network, encoder_checkpoint)
    else:
        logger.warning("%s: no checkpoint was given, all weights are random", name)
    return network.to(target).eval()


def _from_checkpoint(name: str, path: str | os.PathLike[str], fields: Mapping[str, object]) -> Network:
    """Build a network with the weights and config of a file; ``fields`` override the config."""
    from voskit.networks.checkpoints import load_weights, own_fields, read_checkpoint
    from voskit.networks.initialization import NoInitialization

    source = read_checkpoint(path)
    own = own_fields(source, name)
    if own:
        text = ", ".join(f"{k}={v}" for k, v in own.items())
        logger.info("%s: using the file's config, except for changed fields: %s", source.path, text)
    implied = get_model_config(name, **fields).implied_fields({k: v.shape for k, v in source.state.items()})
    config = get_model_config(name, **{**own, **implied}).override(**fields)
    with NoInitialization():
        network = build_network(config)
    logger.info("%s", load_weights(network, source))
    return network


def _load_encoders(network: Network, files: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]]) -> None:
    """Load published weights into the encoders of a network."""
    from voskit.networks.checkpoints import load_encoder

    if not isinstance(files, Mapping):
        files = {"encoder_weights": files}
    encoders = network.pretrained_encoders
    for name, path in files.items():
        if name not in encoders:
            raise ValueError(f"the network has no encoder {name!r}: {suggest(name, encoders)}")
        logger.info("%s", load_encoder(encoders[name], path))


def usable_device(device: str | torch.device | None) -> torch.device:
    """Return the device, or the default one, after allocating a tensor on it.

    Raises:
        ValueError: the allocation fails.
    """
    try:
        usable = default_device() if device is None else torch.device(device)
        torch.empty(1, device=usable)
    except (RuntimeError, AssertionError) as error:  # raised by torch for unknown names and missing hardware
        raise ValueError(f"device {device!r} can't be used here: {str(error).splitlines()[0]}") from error
    return usable
