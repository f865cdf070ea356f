"""Training stages of ReferFormer (CVPR 2022, section 4.2): text prompts for images, then for videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from voskit.configs.stages.base import StageConfig, register_stage

if TYPE_CHECKING:
    from typing_extensions import Self


class ReferringStageConfig(StageConfig):
    """Fields of every stage of ReferFormer. The defaults are those of fine-tuning on Ref-YouTube-VOS with 8 GPUs."""

    datasets: tuple[str, ...] = ("refytvos",)
    clip_length: int = 5
    max_skip: int = 3
    """Maximum distance of the nearest two frames from the first frame drawn for a clip. The others are drawn from the
    whole video."""
    reset_classes: bool = False
    """Reinitialize the score heads after loading the initial weights."""

    epochs: int | None = 6
    """Number of epochs, which determines ``total_steps`` and, with ``drop_epochs``, ``milestones``. None: set those
    fields directly."""
    drop_epochs: tuple[int, ...] = (3, 5)
    """Epochs after which the learning rate is multiplied by ``gamma``."""
    batch_size: int = 8
    workers: int = 4
    lr: float = 1e-4
    encoder_lr_ratio: float = 0.5
    text_lr_ratio: float = 0.1
    """Learning rate of the text encoder relative to ``lr``, unless it is frozen."""
    milestones: tuple[int, ...] | None = ()
    weight_decay: float = 5e-4
    decay_all: bool = True
    clip_norm: float | None = 0.1
    ema_ratio: float = 0.0

    renamed = {**StageConfig.renamed, "text_rate_ratio": "text_lr_ratio"}
    min_clip_length: ClassVar[int] = 1

    def for_data(self, clips: int) -> Self:
        """Return the stage with ``total_steps`` and ``milestones`` computed from its epochs."""
        if self.epochs is None:
            return self
        steps = [max(1, round(n * clips / self.batch_size)) for n in (self.epochs, *self.drop_epochs)]
        return self.override(total_steps=steps[0], milestones=tuple(steps[1:]))


@register_stage("refer_coco")
class ReferCoco(ReferringStageConfig):
    """Single images of RefCOCO, RefCOCO+ and RefCOCOg. The text encoder is trained, too."""

    model = {"freeze_text_encoder": False}
    datasets = ("refcoco", "refcoco+", "refcocog")
    clip_length = 1
    epochs = 12
    drop_epochs = (8, 10)
    batch_size = 16


@register_stage("refer_ytvos")
class ReferYouTubeVOS(ReferringStageConfig):
    """Ref-YouTube-VOS after pre-training on images."""

    previous = "refer_coco"
    reset_classes = True


@register_stage("refer_ytvos_scratch")
class ReferYouTubeVOSScratch(ReferringStageConfig):
    """Ref-YouTube-VOS without pre-training."""

    epochs = 10
    drop_epochs = (6, 8)


@register_stage("refer_joint")
class ReferJoint(ReferringStageConfig):
    """Ref-YouTube-VOS, mixed with images that are turned into clips."""

    datasets = ("refcoco", "refcoco+", "refcocog", "refytvos")
    epochs = 12
    drop_epochs = (8, 10)
