"""Published weights: checkpoints of the model zoo and ImageNet weights of encoders, found locally or downloaded."""

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
"""Folder of the bundled weights; users can put their own files there, too."""
_CATALOG = Path(__file__).with_name("published_weights.json")
_BUNDLED = ("deaott", "open", "deaott_open.safetensors")


@dataclass(frozen=True)
class PublishedWeights:
    """A published weights file: a checkpoint of a model, or the ImageNet weights of an encoder."""

    file: str
    model: str = ""
    """Name in the model zoo; "" for encoders."""
    variant: str = ""
    """Training stage or dataset in the authors' naming; for encoders, the name of the encoder."""
    url: str = ""
    """Download URL; "" for the bundled file."""
    is_main: bool = False
    """True for the variant that ``pretrained=True`` selects."""
    source: str = ""
    """Web page of the release, or ``"bundled"``."""
    mebibytes: float | None = None
    """File size in MiB, estimated from the number of float32 parameters for checkpoints; None: unknown."""

    @property
    def digest(self) -> str:
        """First 8 hex digits of the SHA-256 from the file name, or "" if the name doesn't contain them."""
        match = re.search(r"-([0-9a-f]{8})\.pth$", self.file)
        return match[1] if match else ""


@functools.cache
def list_published() -> tuple[PublishedWeights, ...]:
    """Return all published weights: the bundled checkpoint, the other checkpoints, then the encoders."""
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
    """Return the path of a model's published weights, downloading them if they aren't stored locally.

    Args:
        model: name in the model zoo.
        variant: name of a variant, e.g. ``"PRE"``. True: the main variant, i.e. the bundled weights for ``deaott``,
            PRE_YTB_DAV for other AOT and DeAOT models, s012 for JointFormer, ytvos for ReferFormer.

    Raises:
        ValueError: the model or variant is unknown, the model has no published weights, or the file is damaged.
        FileNotFoundError: the file isn't stored locally, and VOSKIT_OFFLINE is set.
        OSError: the download failed. The message says how to download the file by hand and where to put it.
    """
    return find(published_weights(model, variant))


def find_encoder(file: str) -> Path:
    """Return the path of an encoder's published ImageNet weights, downloading them if they aren't stored locally.

    Args:
        file: file name, such as ``resnet50-0676ba61.pth``.

    Raises:
        FileNotFoundError: the file isn't stored locally, and VOSKIT_OFFLINE is set or no URL is known.
        ValueError, OSError: see ``find_weights``.
    """
    encoders = {entry.file: entry for entry in list_published() if not entry.model}
    if file in encoders:
        return find(encoders[file])
    if (path := path_here(file)) is None:
        raise FileNotFoundError(
            f"{file} is missing, and no download URL is known: put it into {PRETRAINED} or {weights_folder()}"
        )
    return path


def published_weights(model: str, variant: bool | str = True) -> PublishedWeights:
    """Return the catalog entry of a model's published weights, see ``find_weights``.

    Raises:
        ValueError: the model or variant is unknown, or the model has no published weights.
    """
    get_model_config(model)  # raises for unknown names
    variants = {entry.variant: entry for entry in list_published() if entry.model == model}
    if not variants:
        names = {entry.model for entry in list_published() if entry.model}
        raise ValueError(f"no weights are published for {model}, so give a checkpoint; {suggest(model, names)}")
    if variant is True:
        return next(entry for entry in variants.values() if entry.is_main)
    for name, entry in variants.items():
        if name.casefold() == str(variant).casefold():
            return entry
    raise ValueError(f"{model} has no published variant {variant!r}: there are {', '.join(variants)}")


def path_here(file: str) -> Path | None:
    """Return the path of a weights file in ``pretrain_models`` or the download folder, or None if it is in neither."""
    return next((path for folder in (PRETRAINED, weights_folder()) if (path := folder / file).is_file()), None)


def find(entry: PublishedWeights) -> Path:
    """Return the path of a published file, downloading it if necessary; raises as ``find_weights`` does."""
    if (path := path_here(entry.file)) is not None:
        if path.parent != PRETRAINED:
            verify(path)
        return path
    path = weights_folder() / entry.file
    if not entry.url:
        raise FileNotFoundError(f"the bundled {PRETRAINED / entry.file} is missing: install voskit again")
    by_hand = f"download {entry.url} in a browser and save it as {path}"
    if is_offline():
        raise FileNotFoundError(f"{entry.file} is missing, and VOSKIT_OFFLINE is set: {by_hand}")
    logger.info("downloading %s to %s", entry.url, path)
    try:
        download(entry.url, path, entry.digest)
    except ConnectionError as error:
        raise ConnectionError(f"{error}; try again later, or {by_hand}") from error
    return path


def is_offline() -> bool:
    """Return True if the environment variable VOSKIT_OFFLINE forbids downloads."""
    return os.environ.get("VOSKIT_OFFLINE", "0") not in ("", "0")


def weights_folder() -> Path:
    """Return the download folder: ``$VOSKIT_HOME/weights``, or ``voskit/weights`` in the user's cache folder."""
    if home := os.environ.get("VOSKIT_HOME"):
        return Path(home).expanduser() / "weights"
    if sys.platform == "win32":
        cache = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "voskit" / "weights"
