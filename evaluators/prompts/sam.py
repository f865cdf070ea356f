"""Segment Anything (Kirillov et al., 2023) and SAM 2 (Ravi et al., 2024) through transformers (extra ``prompts``)."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voskit.evaluators.prompts.base import PROMPTERS, Box, Prompt, check_prompt
from voskit.networks.weights import is_offline

_LOGIT = 10.0  # logit of a given mask; in training, networks see logits of their own masks


class _SegmentAnything:
    """Base of both generations: weights, features of the current frame, choice among several masks.

    The features of a frame are kept until another frame comes, so that only the first click on it takes long. Calls
    from several threads wait for each other.

    Args:
        weights: a folder with ``config.json``, ``model.safetensors`` and the processor's JSON, or a name on the
            Hugging Face hub, which is downloaded once.
        device: the network's device; None: CUDA if available, else MPS, else the CPU.

    Raises:
        ValueError: transformers is missing, or the weights are those of another network.
        FileNotFoundError: there are no such weights.
    """

    title = ""
    network = ""
    processor = ""

    def __init__(self, weights: str, device: str | None = None) -> None:
        from voskit.networks.build import usable_device

        self._device = str(usable_device(device))
        self._model, self._processor = self._load(str(weights))
        self._lock = threading.Lock()
        self._frame: tuple[object, ...] = ()
        self._features: Any = None

    def segment(
        self,
        image_HW3: np.ndarray,
        *,
        points: Sequence[tuple[float, float, bool]] = (),
        box: Box | None = None,
        mask: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the mask of the object, [H, W] bool; see ``Prompter.segment``.

        One click may mean a part or the whole, so the network then proposes three masks, and the one that it rates
        highest is returned.
        """
        import torch

        prompt = check_prompt(image_HW3, points, box, mask)
        with self._lock, torch.inference_mode():
            inputs = self._processor(images=image_HW3, return_tensors="pt", **_coordinates(prompt)).to(self._device)
            found = self._model(
                image_embeddings=self._image_features(image_HW3, inputs["pixel_values"]),
                input_masks=None if prompt.mask is None else self._mask_prompt(prompt.mask),
                multimask_output=len(prompt.points) == 1 and prompt.box is None and prompt.mask is None,
                **{name: inputs[name] for name in ("input_points", "input_labels", "input_boxes") if name in inputs},
            )
            best = int(found.iou_scores[0, 0].argmax())
            return self._at_frame_size(found.pred_masks.float().cpu(), inputs)[0][0, best].numpy()

    def _load(self, weights: str) -> tuple[Any, Any]:
        """Return the network in evaluation mode and its processor."""
        try:
            import transformers
        except ModuleNotFoundError:
            raise ValueError(
                f"the prompter {self.title} needs the package transformers: pip install 'voskit[prompts]'"
            ) from None
        options = {"local_files_only": Path(weights).is_dir() or is_offline()}
        try:
            model, report = getattr(transformers, self.network).from_pretrained(
                weights, output_loading_info=True, **options
            )
            processor = getattr(transformers, self.processor).from_pretrained(weights, **options)
        except OSError as error:
            raise FileNotFoundError(
                f"{weights}: no weights of {self.title} ({str(error).splitlines()[0]}): give weights=FOLDER with "
                "config.json, model.safetensors and preprocessor_config.json, or a name on the Hugging Face hub"
            ) from None
        if wrong := sorted({*report["missing_keys"], *(entry[0] for entry in report["mismatched_keys"])}):
            raise ValueError(
                f"{weights}: not weights of {self.title}: {len(wrong)} tensors don't fit, such as {wrong[0]}"
            )
        return model.eval().to(self._device), processor

    def _image_features(self, image_HW3: np.ndarray, pixels_B3HW: Any) -> Any:
        frame = (image_HW3.shape, zlib.crc32(np.ascontiguousarray(image_HW3).data))
        if frame != self._frame:
            self._features = self._model.get_image_embeddings(pixels_B3HW)
            self._frame = frame
        return self._features

    def _mask_prompt(self, mask_HW: np.ndarray) -> Any:
        """Return the current mask as logits, [1, 1, h, w] float32 in the network's geometry."""
        raise NotImplementedError

    def _at_frame_size(self, logits: Any, inputs: Any) -> list[Any]:
        """Return masks [1, candidates, H, W] bool of logits in the network's geometry."""
        raise NotImplementedError


@PROMPTERS.register("sam")
class SAM(_SegmentAnything):
    """Segment Anything; the frame is scaled to a long edge of 1024 pixels and padded."""

    title = "sam"
    network = "SamModel"
    processor = "SamProcessor"

    def __init__(self, weights: str = "facebook/sam-vit-base", device: str | None = None) -> None:
        super().__init__(weights, device)

    def _mask_prompt(self, mask_HW: np.ndarray) -> Any:
        import torch
        from torch.nn import functional as F

        side = 4 * self._model.config.prompt_encoder_config.image_embedding_size
        height, width = (max(1, round(edge * side / max(mask_HW.shape))) for edge in mask_HW.shape)
        logits = torch.from_numpy(np.where(mask_HW, _LOGIT, -_LOGIT).astype(np.float32))[None, None].to(self._device)
        logits = F.interpolate(logits, (height, width), mode="bilinear", antialias=True)
        return F.pad(logits, (0, side - width, 0, side - height), value=-_LOGIT)

    def _at_frame_size(self, logits: Any, inputs: Any) -> list[Any]:
        sizes = inputs["original_sizes"].cpu(), inputs["reshaped_input_sizes"].cpu()
        return self._processor.post_process_masks(logits, *sizes)


@PROMPTERS.register("sam2")
class SAM2(_SegmentAnything):
    """SAM 2, its network for images; the frame is stretched to a square of 1024 pixels."""

    title = "sam2"
    network = "Sam2Model"
    processor = "Sam2Processor"

    def __init__(self, weights: str = "facebook/sam2.1-hiera-tiny", device: str | None = None) -> None:
        super().__init__(weights, device)

    def _mask_prompt(self, mask_HW: np.ndarray) -> Any:
        import torch
        from torch.nn import functional as F

        logits = torch.from_numpy(np.where(mask_HW, _LOGIT, -_LOGIT).astype(np.float32))[None, None].to(self._device)
        size = tuple(self._model.prompt_encoder.mask_input_size)
        return F.interpolate(logits, size, mode="bilinear", antialias=True)

    def _at_frame_size(self, logits: Any, inputs: Any) -> list[Any]:
        return self._processor.post_process_masks(logits, inputs["original_sizes"].cpu())


def _coordinates(prompt: Prompt) -> dict[str, Any]:
    """Return points and box in the nesting of the processors: frame, object, point."""
    nested: dict[str, Any] = {}
    if prompt.points:
        nested["input_points"] = [[[[point.x, point.y] for point in prompt.points]]]
        nested["input_labels"] = [[[int(point.positive) for point in prompt.points]]]
    if prompt.box is not None:
        nested["input_boxes"] = [[[float(edge) for edge in prompt.box]]]
    return nested
