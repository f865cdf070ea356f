"""The stages of ReferFormer (CVPR 2022, section 4.2): sentences about images, then about videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from voskit.configs.stages.base import StageConfig, register_stage

if TYPE_CHECKING:
    from typing_extensions import Self


class ReferringStageConfig(StageConfig):
    """What all stages share; the defaults are those of fine-tuning on Ref-YouTube-VOS, on 8 GPUs."""

    datasets: tuple[str, ...] = ("refytvos",)
    clip_length: int = 5
    max_skip: int = 3
    """Most frames between a clip's first drawn frame and its nearest ones; the others are from the whole video."""
    reset_classes: bool = False
    """The heads for scores begin anew, whatever the weights are from which training starts."""

    epochs: int | None = 6
    """Passes over the data, from which ``total_steps`` and ``milestones`` follow; None: those hold."""
    drop_epochs: tuple[int, ...] = (3, 5)
    """Passes after which the rate falls to ``gamma`` times what it was."""
    batch_size: int = 8
    workers: int = 4
    lr: float = 1e-4
    encoder_lr_ratio: float = 0.5
    text_rate_ratio: float = 0.1
    """Share of the rate at which the text encoder learns, where it does."""
    milestones: tuple[int, ...] | None = ()
    weight_decay: float = 5e-4
    decay_all: bool = True
    clip_norm: float | None = 0.1
    ema_ratio: float = 0.0

    min_clip_length: ClassVar[int] = 1

    def for_data(self, clips: int) -> Self:
        """With the steps that so many clips take."""
        if self.epochs is None:
            return self
        steps = [max(1, round(n * clips / self.batch_size)) for n in (self.epochs, *self.drop_epochs)]
        return self.override(total_steps=steps[0], milestones=tuple(steps[1:]))


@register_stage("refer_coco")
class ReferCoco(ReferringStageConfig):
    """RefCOCO, RefCOCO+ and RefCOCOg: single images; the text encoder learns, too."""

    model = ("freeze_text_encoder=false",)
    datasets = ("refcoco", "refcoco+", "refcocog")
    clip_length = 1
    epochs = 12
    drop_epochs = (8, 10)
    batch_size = 16


@register_stage("refer_ytvos")
class ReferYouTubeVOS(ReferringStageConfig):
    """Ref-YouTube-VOS after images."""

    previous = "refer_coco"
    reset_classes = True


@register_stage("refer_ytvos_scratch")
class ReferYouTubeVOSScratch(ReferringStageConfig):
    """Ref-YouTube-VOS alone."""

    epochs = 10
    drop_epochs = (6, 8)


@register_stage("refer_joint")
class ReferJoint(ReferringStageConfig):
    """Both at once, images made into clips."""

    datasets = ("refcoco", "refcoco+", "refcocog", "refytvos")
    epochs = 12
    drop_epochs = (8, 10)
