"""Flags of ``voskit demo``: clips, their masks or text prompts, and results."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import Self

from voskit.configs import list_models
from voskit.dataloaders.files import check_output_folder
from voskit.tools.command import quiet
from voskit.tools.flags.model import BUNDLED_MODEL, ModelArgs

if TYPE_CHECKING:
    from voskit.evaluators import ReferringSegmenter, VideoSegmenter
    from voskit.evaluators.clips.scenes import ClipOptions
    from voskit.evaluators.clips.sources import Clip
    from voskit.evaluators.prompts.first_mask import ObjectPrompt

logger = logging.getLogger("demo")


@dataclass(frozen=True, kw_only=True)
class ClipArgs(ModelArgs):
    """Segment videos, given masks of their objects or text prompts."""

    data_path: tuple[str, ...] = ()
    """A video, a folder of images, a camera's number, a URL; several videos, or a folder of videos; or a folder of
    scenes (images/SCENE and masks/SCENE). Default: the bundled scenes, see --scene."""
    scene: str | None = None
    """Only this scene of the folder. Bundled: bunny (4 objects, the default) and cabinet (49 objects). The cabinet runs
    with --set background=false, because its masks label every pixel, with --short_edge 780 --max_resolution 828,
    because many of its objects are small, and for speed with --set self_top_k=64 long_term_gap=5, and --amp on CPUs
    that are faster with it; your flags override these."""
    mask: tuple[Path, ...] = ()
    """Mask of the first frame: an image of ids, white on black or flat colors, a folder with an image for each object,
    COCO or labelme JSON, or .npy. Or a folder of masks with the names of their frames. For several videos: one for
    each, or a folder with a mask for each under the video's name. Scenes have their own masks."""
    box: tuple[str, ...] = ()
    """Instead of a mask, boxes of objects in the first frame: ID:x0,y0,x1,y1 in pixels."""
    point: tuple[str, ...] = ()
    """Instead of a mask, or in addition to a box, points: ID:x,y on the object, ID:x,y,0 on anything else."""
    prompter: str = "grabcut"
    """Method that turns boxes and points into a mask: grabcut, sam, sam2; with options as in sam2:weights=FOLDER. See
    docs/prompts.md."""
    complete_masks: bool = False
    """Masks of later frames show all objects: their black pixels are background, whatever was predicted."""
    backwards: bool = False
    """Also propagate objects to the frames before their masks; not for cameras and streams."""
    fuse: bool = False
    """Segment frames between two masks in both directions, and fuse the results; not for cameras and streams."""
    text: tuple[str, ...] = ()
    """Text prompts, for models that take them; the object of the first prompt gets id 1, and so on."""
    start: str | None = None
    """Begin at this frame: its number, counted from 0, its name, or a time such as 12.5s or 1:02.5. A single mask
    applies to this frame."""
    end: str | None = None
    """End with this frame, in the same forms as --start."""
    max_frames: int | None = None
    """Stop after this many frames. Cameras never end."""
    output_path: Path = Path("out")
    """Folder of the results."""
    export: tuple[str, ...] = ()
    """Also write these formats: png, binary, coco, coco-vid, youtube-vis, davis, cvat, yolo-seg, csv, npz, alpha, rgba,
    prores4444, webm-alpha, greenscreen; with options as in alpha:bits=16,objects=together. See docs/exports.md."""
    fps: float | None = None
    """Constant frame rate of overlay and exported videos. Default: the times of the source, or 25 for images."""
    overlay: bool = True
    """Write the overlay video."""
    palette: Literal["bright", "davis"] = "bright"
    """Colors of the objects in overlay video and contact sheet."""
    resume: bool = False
    """Continue an interrupted run, with the same flags; for a complete run, only write the exports. Not for text
    prompts."""
    open: bool = False
    """Open the overlay video when it is finished."""
    verbose: bool = False
    """Also log how weights were loaded, and the model's config."""

    def check(self) -> None:
        """Raise ValueError if flags contradict each other, or the source of text prompts is wrong; load nothing."""
        if self.max_frames is not None and self.max_frames < 1:
            raise ValueError(f"--max_frames must be at least 1, got {self.max_frames}")
        check_output_folder(self.output_path, "--output_path ")
        if self.task == "referring":
            self._check_text_flags()
        elif self.resume and self.target_fps is not None:
            raise ValueError("--resume: with --target_fps, masks depend on the machine's speed: leave one out")
        elif self.text:
            others = ", ".join(list_models("referring"))
            raise ValueError(f"--text: {self.model} takes masks; models with text prompts: {others}")
        else:
            self.check_mask_flags()
        self.check_cuts(backwards=self.backwards, fuse=self.fuse)
        self._check_rereadable()
        if self.box or self.point:
            self._check_prompts()
        elif self.prompter != type(self).prompter:
            raise ValueError(f"--prompter {self.prompter} is for --box and --point")
        if self.export:
            from voskit.evaluators.exports.base import build_exports

            build_exports(self.export)

    def _check_rereadable(self) -> None:
        from voskit.dataloaders.video.frames import can_be_read_once

        flags = ("backwards", "fuse", "box", "point", "propagate")
        flag = next((flag for flag in flags if getattr(self, flag)), None)
        if flag and any(map(can_be_read_once, self.data_path)):
            raise ValueError(f"--{flag}: a camera or stream can be read only once, and forwards: record it")

    def _check_prompts(self) -> None:
        flag = "--box" if self.box else "--point"
        if self.task == "referring":
            raise ValueError(f"{flag} is for models that propagate masks, but {self.model} takes text prompts")
        if self.mask or self.scene is not None or len(self.data_path) != 1:
            raise ValueError(f"{flag}: give one video with --data_path, and neither --mask nor --scene")
        from voskit.evaluators.prompts.base import PROMPTERS

        PROMPTERS.get(self.prompter.partition(":")[0])
        self._prompts()

    def _prompts(self) -> dict[int, ObjectPrompt]:
        from voskit.evaluators.prompts.first_mask import read_prompts

        return read_prompts(self.box, self.point)

    def find_clips(self) -> list[Clip]:
        """Return the clips and their masks or prompts. Raises ValueError and OSError as ``sources.find_clips``."""
        from voskit.evaluators.clips.sources import Clip, find_clips

        if self.mask and not self.data_path and self.scene is None:
            raise ValueError("--mask needs a video: give it first, as in voskit demo my_video.mp4 --mask first.png")
        if not (self.box or self.point):
            return find_clips(self.data_path, self.mask, self.scene)
        from voskit.evaluators.prompts.first_mask import PromptedMask

        return [Clip(self.data_path[0], PromptedMask(self._prompts(), self.prompter, self.output_path))]

    def _check_text_flags(self) -> None:
        if not self.text or len(self.data_path) != 1 or self.mask or self.scene is not None:
            raise ValueError(f"{self.model} takes text prompts: give --data_path and --text, and no --mask or --scene")
        for name in ("complete_masks", "backwards", "fuse", "resume"):
            if getattr(self, name):
                raise ValueError(f"--{name} is for masks, but {self.model} takes text prompts")
        from voskit.evaluators.clips.sources import Clip, check_clips
        from voskit.evaluators.referring import check_number

        check_number(self.text)
        check_clips([Clip(self.data_path[0], None)], self.output_path, self.fps, self.start, self.end)

    def for_bundled_scenes(self, *, may_use_amp: bool = True) -> Self:
        """Return flags with the default scene, and with the settings of the scene ``cabinet``; the user's stay.

        Args:
            may_use_amp: set ``amp`` for the scene ``cabinet`` on CPUs that are faster with it.
        """
        if self.data_path:
            return self
        if self.scene is None and not self.mask:
            return replace(self, scene="bunny")
        if self.scene != "cabinet":
            return self
        fields = {"background": "false"}
        if self.model == BUNDLED_MODEL and self.ckpt_path is None:
            fields |= {"self_top_k": "64", "long_term_gap": "5"}
        given = {text.partition("=")[0] for text in self.set}
        added = (f"{name}={value}" for name, value in fields.items() if name not in given)
        changes: dict[str, Any] = {"set": (*self.set, *added)}
        if all(value is None for value in (self.ckpt_path, self.short_edge, self.max_resolution)):
            changes.update(
                short_edge=780, max_resolution=828, amp=self.amp or (may_use_amp and self._is_faster_with_amp())
            )
        return replace(self, **changes)

    def checked_clips(self) -> list[Clip]:
        """Return the clips. A single one is checked; of several, those that can be read are segmented.

        Raises:
            ValueError, OSError: see ``sources.find_clips`` and ``sources.check_clips``.
        """
        from voskit.evaluators.clips.sources import check_clips

        clips = self.find_clips()
        if len(clips) == 1:
            with quiet(logging.ERROR):  # the run itself says how it reads the mask
                check_clips(clips, self.output_path, self.fps, self.start, self.end, self.max_frames)
        return clips

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Hide how weights are loaded in a ``with`` block, unless ``verbose``."""
        with quiet(logging.WARNING, None if self.verbose else "voskit.networks.build"):
            yield

    def log_model(self, segmenter: VideoSegmenter | ReferringSegmenter) -> None:
        """Log the model and its device; with ``verbose`` also its config."""
        place = f"{segmenter.device}, {segmenter.amp}" if segmenter.amp else str(segmenter.device)
        logger.info("%s on %s%s", self.model, place, f": {segmenter.config}" if self.verbose else "")
        if not self.amp and self._is_faster_with_amp():
            logger.info("this CPU is about twice as fast with --amp (bfloat16), at a small loss of accuracy")

    def _is_faster_with_amp(self) -> bool:
        """Return True if the model runs on a CPU that is faster in bfloat16."""
        from voskit.networks.build import default_device
        from voskit.tools.bfloat16 import bfloat16_is_fast

        return bfloat16_is_fast() and (self.device or default_device().type) == "cpu"

    def options(self) -> ClipOptions:
        """Return the options of the clips' results."""
        from voskit.evaluators.clips.scenes import ClipOptions

        return ClipOptions.of(self)
