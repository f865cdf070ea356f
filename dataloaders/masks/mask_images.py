"""Pixels of mask files: ids, gray levels, palettes, colors and cut-outs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from voskit.dataloaders import MAX_ID
from voskit.dataloaders.images import ORIENTATION, load_image
from voskit.dataloaders.masks.edges import REACHES, is_feathered, mend_edges
from voskit.dataloaders.masks.palette import bright_palette, davis_palette, id_palette, voc_palette

ARRAY_EXTENSIONS = (".npy", ".npz")
_ANNOTATION_EXTENSIONS = (".xml", ".txt", ".zip", ".yaml", ".csv", ".svg")
_FORMATS = ("PNG", "BMP", "TIFF", "WEBP", "JPEG", "MPO")
_MANY_IDS = 100  # a picture with more values than this is hardly a mask of ids
_GRAYS = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
_CUT_OUT = "the visible pixels of a cut-out are read as one object"


@dataclass(frozen=True)
class RawMask:
    """Mask as stored, before the meaning of its values is decided for all masks of a video.

    Attributes:
        values: H x W integers, 0 to 65535.
        kind: ``ids``: values are object ids. ``gray``: 8-bit levels; 255 may be "on". ``bit``: levels 0 and 255 of a
            file that has no others. ``palette``: places in a palette, which are ids or colors. ``colors``: values are
            places in ``colors``; 0 is the background.
        colors: [256, 3] uint8 RGB of the values; None for ids.
        by_color: the background can't be index 0 of the palette, so colors identify the objects, not indices.
        notes: remarks on the reading, for the log.
        white: the stored value of pixels that are 255 in ``values``: 65535 in a 16-bit image without other values.
        visible: H x W bool, the visible pixels of an image with transparent ones; None: no pixel is transparent.
        photo: a cut-out with the colors of a photo: only the shape of its visible pixels counts.
    """

    values: np.ndarray
    kind: Literal["ids", "gray", "bit", "palette", "colors"]
    colors: np.ndarray | None = None
    by_color: bool = False
    notes: tuple[str, ...] = ()
    white: int = 255
    visible: np.ndarray | None = None
    photo: bool = False

    def as_shape(self) -> RawMask:
        """Return the visible pixels as one object; a mask without transparent pixels is returned unchanged."""
        return self if self.visible is None else _shape(self.visible)


class UnclearCutOutError(ValueError):
    """Image with transparent pixels that is a mask only if its visible pixels are one object, see ``shape``."""

    def __init__(self, text: str, visible: np.ndarray) -> None:
        super().__init__(text, visible)  # unpickling passes both again
        self.shape = _shape(visible)

    def __str__(self) -> str:
        return str(self.args[0])


def load_raw_mask(path: Path, *, exact: bool = False) -> RawMask:
    """Read an image or a NumPy array, and mend smooth edges.

    Args:
        path: the file.
        exact: read the mask of a benchmark: values are the ids, colors are refused, and nothing is mended except the
            soft edge of a single white object.

    Raises:
        ValueError: the file is damaged, or its pixels can't be ids; the message names it.
        UnclearCutOutError: the image has transparent pixels, and its colors can't be ids.
    """
    if path.suffix.lower() in ARRAY_EXTENSIONS:
        return raw_mask_of_array(str(path), _load_array(path))
    if path.suffix.lower() in _ANNOTATION_EXTENSIONS:
        raise ValueError(
            f"{path}: {path.suffix} files can't be read as masks: unpack or export them as PNG masks, or as JSON in "
            "COCO, YouTube-VIS or labelme format"
        )
    image = _upright(load_image(path))
    if (step := grayscale_step(path, image)) > 1:
        return RawMask(np.array(image) // step, "ids")
    if exact:
        return _exact(path, image)
    return raw_mask_of_image(str(path), image, lossy=image.format == "WEBP" and _is_lossy_webp(path))


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation, as for frames, and keep the image's ``format``."""
    if image.getexif().get(ORIENTATION, 1) == 1 or getattr(image, "n_frames", 1) > 1:
        return image
    turned = ImageOps.exif_transpose(image)
    turned.format = image.format
    return turned


def _exact(path: Path, image: Image.Image) -> RawMask:
    if image.format not in ("PNG", "BMP", "TIFF"):
        raise ValueError(f"{path}: {image.format} files cannot store object ids exactly: save the mask as PNG")
    image = without_opaque_alpha(image)
    values = np.array(image)
    if image.mode == "P" or (image.mode == "L" and not is_feathered(values)):
        return RawMask(values, "ids" if image.mode == "P" else "gray", _GRAYS)
    if image.mode not in ("1", "L", "I", "F") and not image.mode.startswith("I;16"):
        raise ValueError(
            f"{path}: a mask must be a palette or grayscale image of ids, not of mode {image.mode}: save the ids"
        )
    return raw_mask_of_image(str(path), image)


def raw_mask_of_image(where: str, image: Image.Image, *, lossy: bool = False) -> RawMask:
    """Return the raw mask of an image.

    Args:
        where: prefix of error messages.
        image: an image of any mode.
        lossy: the pixels of the file aren't exact, as in a JPEG file.

    Raises:
        ValueError: the pixels can't be ids.
    """
    if image.format not in (None, *_FORMATS):
        raise ValueError(f"{where}: {image.format} files cannot store object ids exactly: save the mask as PNG")
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise ValueError(f"{where}: the file contains several images (pages or animation): give a file with one")
    if image.mode == "F":
        raise ValueError(
            f"{where}: floating-point values are not object ids: save integers as a palette or grayscale PNG"
        )
    if lossy or image.format in ("JPEG", "MPO"):
        return _thresholded(where, image)
    if image.mode == "1":
        return RawMask(np.array(image).astype(np.uint8) * 255, "bit", _GRAYS)
    if image.mode == "L":
        return _gray(where, np.array(image))
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _wide(where, np.array(image))
    transparent = "transparency" in image.info
    if image.mode == "P" and not (transparent and _is_cut_out(image)):
        return _palette(where, image)
    if image.mode in ("LA", "La", "PA", "P", "RGBA", "RGBa"):
        pixels = np.array(image.convert("RGBA"))
        return _colors(where, pixels[..., :3], pixels[..., 3])
    if image.mode in ("RGB", "RGBX", "CMYK", "YCbCr"):
        if transparent and image.mode == "RGB":  # one of the colors is transparent
            pixels = np.array(image.convert("RGBA"))
            return _colors(where, pixels[..., :3], pixels[..., 3])
        return _colors(where, np.array(image.convert("RGB")), None)
    raise ValueError(f"{where}: pixels of mode {image.mode} aren't ids: save a palette or grayscale PNG of object ids")


def raw_mask_of_array(where: str, array: np.ndarray) -> RawMask:
    """Return the raw mask of an array: H x W, an image of 3 or 4 channels (uint8), or masks of N objects.

    Masks of objects are N x H x W or H x W x N; N is the last axis if that is the shortest. Equal masks or channels are
    one mask.
    """
    array = np.asarray(array)
    shape = array.shape
    is_image = array.ndim == 3 and shape[2] in (3, 4) and array.dtype != bool
    if is_image and array.dtype == np.uint8:
        return _colors(where, array[..., :3], array[..., 3] if shape[2] == 4 else None)
    if array.ndim == 3 and array.size:
        if is_image or shape[2] < min(shape[:2]):
            array = np.moveaxis(array, 2, 0)
        if (array == array[0]).all():
            array = array[0]
    if array.ndim == 3 and not is_image and any(np.isin(array, (0, on)).all() for on in (1, 255)):
        values = np.zeros(array.shape[1:], np.uint16)
        for number, region in enumerate(array, 1):
            values[region != 0] = number
        note = f"masks of {len(array)} objects are numbered 1 to {len(array)}; later ones win where they overlap"
        return RawMask(values, "ids", notes=(note,))
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{where}: a mask must be an H x W array of object ids, got shape {shape}")
    if array.dtype == bool:
        return RawMask(array.astype(np.uint8) * 255, "bit", _GRAYS)
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or (array != np.floor(array)).any():
            raise ValueError(f"{where}: a mask must hold integer object ids, got {array.dtype}: threshold it first")
        array = array.astype(np.int64)
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{where}: a mask must hold integer object ids, got {array.dtype}")
    return _gray(where, array) if array.dtype == np.uint8 else _wide(where, array)


def without_opaque_alpha(image: Image.Image) -> Image.Image:
    """Return an image without its alpha channel if that is fully opaque."""
    if image.mode not in ("LA", "PA", "RGBA") or image.getchannel("A").getextrema()[0] != 255:
        return image
    return image.convert(image.mode[:-1]) if image.mode != "PA" else image.convert("P")


def grayscale_step(path: Path, image: Image.Image) -> int:
    """Return the factor by which Pillow stretches the values of 2-bit and 4-bit grayscale PNGs to 255, else 1."""
    if image.format != "PNG" or image.mode != "L":
        return 1
    with path.open("rb") as file:
        bits = file.read(25)[24]  # IHDR: signature (8), length and type (8), width and height (8), bit depth
    return {2: 85, 4: 17}.get(bits, 1)


def _load_array(path: Path) -> np.ndarray:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            names = loaded.files
            if len(names) != 1:
                raise ValueError(f"it holds {len(names)} arrays, but a mask is one array")
            return loaded[names[0]]
    except Exception as error:  # a damaged file makes NumPy's reader raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: can't be read as an array ({reason}): save it with numpy.save") from None


def _gray(where: str, levels: np.ndarray, notes: tuple[str, ...] = ()) -> RawMask:
    """Return the raw mask of 8-bit gray levels."""
    if len(np.flatnonzero(np.bincount(levels.ravel(), minlength=256))) < 3:
        return RawMask(levels, "gray", _GRAYS, notes=notes)
    if is_feathered(levels):
        text = "0 and 255 with a soft edge: values from 128 on are read as one object"
        return RawMask(np.where(levels > 127, np.uint8(255), np.uint8(0)), "gray", _GRAYS, notes=(*notes, text))
    return _mended(where, RawMask(levels, "gray", _GRAYS, notes=notes))


def _wide(where: str, values: np.ndarray) -> RawMask:
    """Return the raw mask of integers of more than 8 bits. White (65535) on black is one object, not an id."""
    if values.min() < 0 or values.max() > MAX_ID:
        raise ValueError(
            f"{where}: object ids must be between 0 and {MAX_ID}, the mask has {values.min()} to {values.max()}"
        )
    if values.max() == MAX_ID and values.dtype == np.uint16:
        levels = (values >> 8).astype(np.uint8)
        if not values[values < MAX_ID].any():
            return RawMask(levels, "gray", _GRAYS, white=MAX_ID)
        if is_feathered(levels):
            return _gray(where, levels)
    return RawMask(values.astype(np.uint16), "ids")


def _palette(where: str, image: Image.Image) -> RawMask:
    values = np.array(image)
    colors = np.zeros((256, 3), np.uint8)
    palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)[:256]
    colors[: len(palette)] = palette
    counts = np.bincount(values.ravel(), minlength=256)
    used = np.flatnonzero(counts)
    if len(palette) > 1 and (colors == _GRAYS)[: len(palette)].all() and used[-1] < len(palette):
        return _gray(where, values)
    if _is_usual_palette(colors, used) or len(np.unique(colors[used], axis=0)) < len(used):
        return RawMask(values, "ids", colors)
    raw = _mended(where, RawMask(values, "palette", colors))
    used = np.flatnonzero(np.bincount(raw.values.ravel(), minlength=256))
    dark = colors[used].max(axis=1) <= 8
    if dark.any():
        black = used[dark][colors[used[dark]].max(axis=1).argmin()]
        colors[black] = 0
        return raw if black == 0 else replace(raw, by_color=True)
    if used[0] == 0:
        frame = np.concatenate([raw.values[[0, -1]].ravel(), raw.values[:, [0, -1]].ravel()])
        usual = int(np.bincount(frame).argmax())
        if usual != 0:
            raise ValueError(
                f"{where}: no pixel is black, index 0 of the palette is {_rgb(colors[0])}, and most pixels at the "
                f"border are index {usual}, {_rgb(colors[usual])}: which is the background? Make it black, or index 0"
            )
        return replace(raw, notes=(*raw.notes, f"index 0 of the palette, {_rgb(colors[0])}, is the background"))
    return raw


def _is_usual_palette(colors: np.ndarray, used: np.ndarray) -> bool:
    """True if the used colors are those that DAVIS, VOC, ``write_mask`` or the demo assign to these ids."""
    own = (davis_palette(), voc_palette(), bright_palette(), id_palette())
    known = (np.frombuffer(palette, np.uint8).reshape(256, 3) for palette in own)
    return any(np.array_equal(palette[used], colors[used]) for palette in known)


def _colors(where: str, rgb: np.ndarray, alpha: np.ndarray | None) -> RawMask:
    """Return the raw mask of RGB pixels: gray levels, flat colors, or the shape of a cut-out."""
    visible = None if alpha is None or alpha.min() == 255 else alpha > 127
    if visible is None:
        return _flat_colors(where, rgb, None, _distinct(rgb.reshape(-1, 3)))
    if not visible.any():
        raise UnclearCutOutError(f"{where}: all pixels are transparent: save the mask with the object visible", visible)
    flat = _distinct(rgb[visible])
    if len(flat) > 255:
        return replace(_shape(visible), photo=True)
    if len(flat) == 1:  # in a folder, the color may tell objects apart
        colors = _GRAYS.copy()
        colors[255] = (flat[0] >> 16, flat[0] >> 8 & 255, flat[0] & 255) if flat[0] else 255
        return replace(_shape(visible), colors=colors)
    if flat[0] == 0:
        raise UnclearCutOutError(
            f"{where}: some pixels are transparent, others black: which are the background? Make both transparent or "
            "both black",
            visible,
        )
    try:
        return replace(_flat_colors(where, rgb, visible, flat), visible=visible)
    except ValueError:  # few colors, but those of a photo
        return replace(_shape(visible), photo=True)


def _shape(visible: np.ndarray) -> RawMask:
    values = np.where(visible, np.uint8(255), np.uint8(0))
    return RawMask(values, "gray", _GRAYS, notes=(_CUT_OUT,), visible=visible)


def _flat_colors(where: str, rgb: np.ndarray, visible: np.ndarray | None, flat: np.ndarray) -> RawMask:
    """Return the raw mask of the visible pixels (None: all), whose levels or colors are ids.

    ``flat`` has their packed colors, see ``_distinct``.
    """
    pixels = rgb[visible] if visible is not None else rgb.reshape(-1, 3)
    if len(flat) > 255:
        raise ValueError(
            f"{where}: a mask must store object ids or flat colors, but this has {len(flat)} or more colors: it looks "
            "like a photo, a lossy copy or soft edges; save a palette PNG, drawn without smoothing"
        )
    values = np.zeros(rgb.shape[:2], np.uint8)
    chosen = slice(None) if visible is None else visible
    shape = rgb.shape[:2] if visible is None else (-1,)
    if (pixels == pixels[:, :1]).all():
        values[chosen] = pixels[:, 0].reshape(shape)
        return _gray(where, values)
    first = 0 if flat[0] == 0 else 1  # black, or nothing, is place 0
    if first + len(flat) > 256:
        raise ValueError(f"{where}: more than 255 colors and no black background: save a palette PNG of object ids")
    values[chosen] = (np.searchsorted(flat, _packed(pixels)) + first).astype(np.uint8).reshape(shape)
    table = np.zeros((256, 3), np.uint8)
    table[first : first + len(flat)] = np.stack([flat >> 16, flat >> 8 & 255, flat & 255], axis=1)
    return _mended(where, RawMask(values, "colors", table))


def _packed(pixels: np.ndarray) -> np.ndarray:
    """Return R * 65536 + G * 256 + B of N x 3 pixels, uint32."""
    return pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)


def _distinct(pixels: np.ndarray) -> np.ndarray:
    """Return the packed colors of N x 3 pixels, ascending; for a photo, those of a sample (at least 256)."""
    packed = _packed(pixels)
    flat = np.unique(packed[:: max(1, len(packed) // 100_000)])
    return flat if len(flat) > 255 else np.unique(packed)


def _mended(where: str, raw: RawMask) -> RawMask:
    """Mend smooth edges of a raw mask; raise ValueError if that isn't possible or the mask is a photo."""
    assert raw.colors is not None
    for reach in REACHES:
        edges = mend_edges(raw.values, raw.colors, reach)
        if not edges.leftover:
            break
    values = len(edges.areas) + edges.leftover
    if (values > 8 and edges.inner < 0.2) or (values > _MANY_IDS and edges.inner < 0.5):
        raise ValueError(
            f"{where}: {values} values, hardly any of which fills an area: it looks like a photo or smooth edges; a "
            "mask must store object ids (palette or grayscale PNG) or flat colors, drawn without smoothing"
        )
    if raw.kind == "gray" and max(edges.areas, default=0) <= max(20, 2 * len(edges.areas)) and not edges.blends:
        return raw  # ids counted from 1, some with only a few pixels
    if edges.leftover and (edges.blends or edges.leftover >= max(8, len(edges.areas) + 1)):
        raise ValueError(
            f"{where}: {edges.blends + edges.leftover} of its values occur only in thin lines and specks, which looks "
            "like smooth edges: draw the mask without smoothing (anti-aliasing), and resize it with nearest-neighbor"
        )
    if not edges.blends:
        return raw
    text = (
        f"{edges.blends} values are smooth edges of the others: each of their pixels goes to the most similar neighbor"
    )
    return replace(raw, values=edges.values, notes=(*raw.notes, text))


def _thresholded(where: str, image: Image.Image) -> RawMask:
    """Return the raw mask of a lossy picture, which must be black and white."""
    levels = np.array(image.convert("L"))
    color = np.array(image.convert("RGB")).astype(np.int16)
    spread = np.percentile(color.max(axis=2) - color.min(axis=2), 99)
    middle = np.count_nonzero((levels > 63) & (levels < 192)) / levels.size
    if spread > 48 or middle > 0.05 or levels.max() < 192:  # small ids become black
        raise ValueError(
            f"{where}: {image.format} files cannot store object ids exactly, only black and white: save the mask as PNG"
        )
    text = f"{image.format or 'the file'} is lossy: values from 128 on are read as one object"
    return RawMask(np.where(levels > 127, np.uint8(255), np.uint8(0)), "gray", _GRAYS, notes=(text,))


def _is_cut_out(image: Image.Image) -> bool:
    """True if a palette image has transparent pixels with an index other than 0."""
    alpha = np.array(image.convert("RGBA"))[..., 3]
    hidden = np.array(image)[alpha < 128]
    return bool(hidden.any())


def _is_lossy_webp(path: Path) -> bool:
    """True if a WebP file has a chunk of lossy pixels."""
    data = path.read_bytes()
    place = 12  # after RIFF, length, WEBP
    while place + 8 <= len(data):
        if data[place : place + 4] == b"VP8 ":
            return True
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8 + length + length % 2
    return False


def _rgb(color: np.ndarray) -> str:
    return str(tuple(int(channel) for channel in color))
