"""Frame-by-frame video segmentation with exported graphs: RGB frames and your object ids in, your object ids out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from voskit.runtime.aot import AOTEngine
from voskit.runtime.graphs import Graphs, check_count
from voskit.runtime.images import log_distortion, prepare_image
from voskit.runtime.inputs import check_output_size, integers, mask_ids, rgb_array
from voskit.runtime.xmem import XMemEngine

_ENGINES: dict[str, type[AOTEngine] | type[XMemEngine]] = {
    "aot": AOTEngine,
    "deaot": AOTEngine,
    "aost": AOTEngine,
    "xmem": XMemEngine,
}


class OnnxSegmenter:
    """Frame-by-frame segmentation of a video, given masks of its objects, without PyTorch.

    The methods are those of ``voskit.VideoSegmenter``, with NumPy arrays for probabilities.

    ::

        segmenter = OnnxSegmenter("exported")
        ids = segmenter.step(first_frame, mask=first_mask)
        for frame in frames:
            ids = segmenter.step(frame)

    Args:
        folder: written by ``voskit export --format onnx``.
        threads: threads of an operation. Default: one for each core.
        providers: execution providers of ONNX Runtime, best first, such as ``["CUDAExecutionProvider",
            "CPUExecutionProvider"]``. Default: the CPU.
        backend: ``"onnxruntime"``, or ``"openvino"`` for the same files in OpenVINO on the CPU.
        precision: with OpenVINO, ``"f32"`` (default), or ``"bf16"`` or ``"f16"`` for processors that compute in it.
        long_term_gap: number of frames from one stored in the long-term memory to the next. Default: the model's.
        max_memory_frames: maximum number of frames in the long-term memory, up to the export's, which is the default.

    Raises:
        FileNotFoundError: the folder has no manifest, or a graph is missing.
        ValueError: the folder is of another version or another kind of model, a value is out of range, or a backend
            isn't installed.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        backend: str = "onnxruntime",
        precision: str | None = None,
        long_term_gap: int | None = None,
        max_memory_frames: int | None = None,
    ) -> None:
        self._graphs = Graphs(folder, threads, providers, backend, precision)
        self.manifest: dict[str, Any] = self._graphs.manifest
        family, most = self.manifest["family"], self.manifest.get("memory_frames", 0)
        if family not in _ENGINES:
            raise ValueError(
                f"{folder} holds a {family}, which takes no masks: OnnxSegmenter runs {', '.join(_ENGINES)}, and "
                "OnnxReferringSegmenter referformer"
            )
        gap = self.manifest["long_term_gap"] if long_term_gap is None else long_term_gap
        frames = most if max_memory_frames is None else max_memory_frames
        check_count("long_term_gap", gap)
        check_count("max_memory_frames", frames)
        if frames > most:
            raise ValueError(f"max_memory_frames must be at most {most}, the export's --memory_frames, got {frames}")
        self._engine = _ENGINES[family](self._graphs, gap, frames)
        self._size: tuple[int, int] | None = None
        self._white = False

    @property
    def object_ids(self) -> list[int]:
        """Object ids in the order of addition; ids added by one mask are in ascending order, or sorted by group."""
        return self._engine.objects.ids

    @property
    def memory_frames(self) -> int:
        """Number of frames in the long-term memory."""
        return self._engine.memory_frames

    @property
    def memory_bytes(self) -> int:
        """Bytes allocated for the long-term memory."""
        return self._engine.memory_bytes

    def reset(self) -> None:
        """Forget the current video; the next frame starts a new one."""
        self._engine.reset()
        self._size = None
        self._white = False

    def delete_objects(self, ids: int | Iterable[int]) -> None:
        """Forget objects; from the next frame on, their pixels go to other objects or to the background.

        Args:
            ids: one id, or several in a list, set, array or other iterable.

        Raises:
            ValueError: an id that is unknown or not an integer; no object is forgotten then.
        """
        self._engine.delete_objects(integers(ids))

    def step(
        self,
        frame: Any,
        mask: Any = None,
        *,
        complete: bool = False,
        return_probs: bool = False,
        output_size: tuple[int, int] | None = None,
    ) -> Any:
        """Segment the next frame.

        Args:
            frame: H x W x 3 uint8 RGB, of the same size throughout a video. It is resized to the exported size,
                whatever its shape. Also accepted: PIL images; C x H x W; gray H x W; floats in [0, 1]; an opaque alpha
                channel.
            mask: H x W object ids from 1 to 65535, 0 elsewhere. Non-zero pixels override the prediction; new ids add
                objects from this frame on. A mask of only 0 and 255 is read as one object with id 1.
            complete: the mask is complete: 0 means background, not "keep the prediction".
            return_probs: also return probabilities.
            output_size: (height, width) of the results; None: that of the frame.

        Returns:
            Ids, H x W uint8, or uint16 if an id is above 255; 0 is the background. With ``return_probs``, also
            probabilities, (objects + 1) x H x W float32: channel 0 is the background, followed by ``object_ids`` in
            order.

        Raises:
            ValueError: a frame or mask of the wrong shape, type or size, ids out of range, or more objects than the
                export has room for; the state is unchanged then.
        """
        frame = rgb_array(frame)
        shape = (frame.shape[0], frame.shape[1])
        given = self._check(shape, mask, output_size)
        size = shape if output_size is None else (int(output_size[0]), int(output_size[1]))
        if self._size is None:
            log_distortion(shape, self.manifest)
            self._size = shape
        objects = self._engine.objects
        if given is not None and not given.any() and not (complete and objects):
            given = None
        if given is None and not objects:
            ids = np.zeros(size, np.uint8)
            return (ids, np.ones((1, *size), np.float32)) if return_probs else ids
        step = self._engine.step(prepare_image(frame, self.manifest), size, given, complete, return_probs)
        ids = self._engine.objects.to_ids(step.slots_HW)
        return (ids, step.probabilities) if return_probs else ids

    def _check(self, shape: tuple[int, int], mask: Any, output_size: Any) -> np.ndarray | None:
        """Check the arguments of ``step`` and return the ids of the mask."""
        if self._size is not None and shape != self._size:
            raise ValueError(
                f"the frame has size {shape[0]}x{shape[1]}, earlier frames of the video "
                f"{self._size[0]}x{self._size[1]}: call reset() before another video"
            )
        check_output_size(output_size)
        if mask is None:
            return None
        given, white = mask_ids(mask, shape, self.object_ids, self._white)
        most = self.manifest["objects"]
        if (count := self._engine.new_slots(given)) > most:
            raise ValueError(
                f"{count} objects (deleted ones of a group included), but the export holds {most}: export the model "
                f"again with --objects {count}"
            )
        self._white |= white
        return given
