"""Published weights by name: checkpoints of the model zoo and encoders, on the disk or downloaded once."""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from voskit.configs import get_model_config, suggest
from voskit.networks.downloads import download, verify

logger = logging.getLogger(__name__)

PRETRAINED = Path(__file__).resolve().parents[1] / "pretrain_models"
"""Folder of the bundled weights, and of those that users put there."""
_CATALOG = Path(__file__).with_name("published_weights.json")
_BUNDLED = ("deaott", "open", "deaott_open.safetensors")


@dataclass(frozen=True)
class PublishedWeights:
    """A published weights file: a checkpoint of a model, or the ImageNet weights of an encoder."""

    file: str
    model: str = ""
    """Name in the model zoo; "" for encoders."""
    variant: str = ""
    """Training stage or data, as the authors call it; for encoders, the encoder."""
    url: str = ""
    """Address of the file; "" for the bundled one."""
    is_main: bool = False
    """True for the variant that ``pretrained=True`` takes."""
    source: str = ""
    """Page that publishes it."""
    mebibytes: float | None = None
    """Size, for checkpoints estimated from the number of parameters (float32); None: unknown."""

    @property
    def digest(self) -> str:
        """First hex digits of the SHA-256, if the file's name carries them, else ""."""
        match = re.search(r"-([0-9a-f]{8})\.pth$", self.file)
        return match[1] if match else ""


@functools.cache
def list_published() -> tuple[PublishedWeights, ...]:
    """Return all published checkpoints, the bundled one first, then the encoders."""
    catalog = json.loads(_CATALOG.read_text(encoding="utf-8"))
    model, variant, file = _BUNDLED
    entries = [PublishedWeights(file, model, variant, is_main=True, source="bundled")]
    for family in catalog["families"].values():
        for row in family["files"]:
            entries.append(
                PublishedWeights(
                    row["file"],
                    row["model"],
                    row["variant"],
                    row.get("url") or f"https://drive.google.com/uc?id={row['google_drive_id']}",
                    is_main=row["variant"] == family["main_variant"] and row["model"] != model,
                    source=family["source"],
                    mebibytes=catalog["million_parameters"][row["model"]] * 4e6 / 2**20,
                )
            )
    for row in catalog["encoders"]:
        entries.append(PublishedWeights(row["file"], "", row["encoder"], row["url"], mebibytes=row.get("mebibytes")))
    return tuple(entries)


def find_weights(model: str, variant: bool | str = True) -> Path:
    """Return the file of a model's published weights, downloading it if it isn't here.

    Args:
        model: name in the model zoo.
        variant: True for the main variant: the bundled weights for ``deaott``, PRE_YTB_DAV for other AOT and DeAOT
            models, s012 for JointFormer, ytvos for ReferFormer; or a variant's name, e.g. ``"PRE"``.

    Raises:
        ValueError: unknown model or variant, no weights are published for the model, or the file is damaged.
        FileNotFoundError: the file isn't here, and VOSKIT_OFFLINE is set.
        OSError: the download failed. Messages say where to get the file by hand and where to put it.
    """
    return find(published_weights(model, variant))


def find_encoder(file: str) -> Path:
    """Return the file of an encoder's published ImageNet weights, downloading it if it isn't here.

    Args:
        file: name of the file, such as ``resnet50-0676ba61.pth``.

    Raises:
        FileNotFoundError: the file isn't here, and VOSKIT_OFFLINE is set or no address is known.
        ValueError, OSError: as for ``find_weights``.
    """
    encoders = {entry.file: entry for entry in list_published() if not entry.model}
    if file in encoders:
        return find(encoders[file])
    if (path := path_here(file)) is None:
        raise FileNotFoundError(
            f"{file} is not here, and no download address is known: put it into {PRETRAINED} or {weights_folder()}"
        )
    return path


def published_weights(model: str, variant: bool | str = True) -> PublishedWeights:
    """Return the entry of a model's published variant, see ``find_weights``.

    Raises:
        ValueError: unknown model or variant, or no weights are published for the model.
    """
    get_model_config(model)  # for its error about unknown names
    variants = {entry.variant: entry for entry in list_published() if entry.model == model}
    if not variants:
        names = {entry.model for entry in list_published() if entry.model}
        raise ValueError(f"no weights are published for {model}, so name a checkpoint; {suggest(model, names)}")
    if variant is True:
        return next(entry for entry in variants.values() if entry.is_main)
    for name, entry in variants.items():
        if name.casefold() == str(variant).casefold():
            return entry
    raise ValueError(f"{model} has no published variant {variant!r}: there are {', '.join(variants)}")


def path_here(file: str) -> Path | None:
    """Return the path of a file of weights in ``pretrain_models`` or among the downloads, or None."""
    return next((path for folder in (PRETRAINED, weights_folder()) if (path := folder / file).is_file()), None)


def find(entry: PublishedWeights) -> Path:
    """Return the path of a published file, downloading it if it isn't here; see ``find_weights`` for errors."""
    if (path := path_here(entry.file)) is not None:
        if path.parent != PRETRAINED:
            verify(path)
        return path
    path = weights_folder() / entry.file
    if not entry.url:
        raise FileNotFoundError(f"the bundled {PRETRAINED / entry.file} is missing: install voskit again")
    by_hand = f"download {entry.url} in a browser and save it as {path}"
    if is_offline():
        raise FileNotFoundError(f"{entry.file} is not here, and VOSKIT_OFFLINE is set: {by_hand}")
    logger.info("downloading %s to %s", entry.url, path)
    try:
        download(entry.url, path, entry.digest)
    except ConnectionError as error:
        raise ConnectionError(f"{error}; try again later, or {by_hand}") from error
    return path


def is_offline() -> bool:
    """True if the environment variable VOSKIT_OFFLINE forbids downloads."""
    return os.environ.get("VOSKIT_OFFLINE", "0") not in ("", "0")


def weights_folder() -> Path:
    """Return the folder of downloaded weights: ``weights`` in VOSKIT_HOME, by default in the user's cache folder."""
    if home := os.environ.get("VOSKIT_HOME"):
        return Path(home).expanduser() / "weights"
    if sys.platform == "win32":
        cache = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "voskit" / "weights"
