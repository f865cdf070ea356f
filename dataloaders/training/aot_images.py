"""Synthetic training clips from still images for AOT, with random motion and colors in each frame (AOT, section 5)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from voskit.configs.stages import StageConfig
from voskit.dataloaders.datasets.layout import scan_images, subfolders
from voskit.dataloaders.training import augment
from voskit.dataloaders.training.clip import RawClip
from voskit.dataloaders.training.clip_dataset import ClipDataset
from voskit.dataloaders.training.records import read_image, read_labels

logger = logging.getLogger(__name__)
_BLUR = 0.5


class StaticClips(ClipDataset):
    """Synthetic clips from still images, one for each image with a mask.

    Images are ``root/JPEGImages/<set>/<name>.jpg``, masks ``root/Annotations/<set>/<name>.png``, for any number of
    sets.

    Args:
        root: folder of the images and masks.
        stage, options: see ``ClipDataset``.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: no image has a mask.
    """

    def __init__(self, root: Path, stage: StageConfig, **options: Any) -> None:
        super().__init__(stage, **options)
        self.root = root
        self.pairs = _find_pairs(root)

    def _num_sources(self) -> int:
        return len(self.pairs)

    def _source_name(self, source: int) -> str:
        return str(self.pairs[source][0])

    def _draw(self, source: int, rng: np.random.Generator) -> RawClip | None:
        image_path, mask_path = self.pairs[source]
        mask = read_labels(mask_path)
        found = self._find_view(mask, rng, affine=True)
        if found is None:
            return None
        views, masks = found
        image = read_image(image_path, mask.shape)
        masks += [augment.warp_mask(mask, view, self.crop) for view in views[1:]]
        frames = [augment.warp_image(image, view, self.crop) for view in views]
        frames = [augment.recolor(frame, **augment.draw_color(rng, amount=0.1, hue=0.02)) for frame in frames]
        if rng.random() < _BLUR:
            blurred = int(rng.integers(len(frames)))
            frames[blurred] = augment.blur(frames[blurred], rng.uniform(0.3, 1.5))
        return RawClip(frames, masks, f"{image_path.parent.name}/{image_path.stem}")


def _find_pairs(root: Path) -> list[tuple[Path, Path]]:
    images, masks = root / "JPEGImages", root / "Annotations"
    for folder in (images, masks):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder: put training images in {root}/JPEGImages/<set>")
    pairs: list[tuple[Path, Path]] = []
    for name in subfolders(images):
        mask_files = scan_images(masks / name, (".png",)).files
        files = scan_images(images / name).files
        own = [(path, mask_files[stem]) for stem, path in files.items() if stem in mask_files]
        if not own:
            logger.warning(
                "%s is left out: none of its %d images has a mask in %s", images / name, len(files), masks / name
            )
        elif len(own) < len(files):
            missing = next(path for stem, path in files.items() if stem not in mask_files)
            logger.warning(
                "%s: %d of %d images have no mask in %s and are left out, such as %s",
                images / name, len(files) - len(own), len(files), masks / name, missing.name,
            )  # fmt: skip
        pairs += own
    if not pairs:
        raise ValueError(f"{images}: no <set>/<name>.jpg has a mask {masks}/<set>/<name>.png")
    return pairs
