"""What every model's config has: how its authors feed and remember frames."""

from __future__ import annotations

from configs.base import Config
from configs.registry import Registry

MODELS: Registry[type[ModelConfig]] = Registry("model")


class ModelConfig(Config):
    """Fields that all families share. They describe inference as the family's authors published it.

    ``VideoSegmenter`` takes each of these fields by keyword and then uses that value in place of the model's.
    """

    short_edge: int | None = None
    """Frames are resized until their short edge has this many pixels; None or -1: they keep their size."""
    max_short_edge: int | None = None
    """Frames are scaled down until their short edge is at most this many pixels; None: no limit."""
    max_short_edge_multi_scale: int | None = None
    """Stands for ``max_short_edge`` where that is None and there are several test scales."""
    max_long_edge: int | None = None
    """The same for the long edge; applied after the short edge's limit."""
    long_term_gap: int = 5
    """Frames between two that enter the long-term memory."""
    short_term_skip: int = 1
    """Which earlier frame is the short-term memory: 1 is the previous frame."""
    max_memory_frames: int | None = None
    """Bound of the long-term memory in frames; None: it grows with the video."""

    @property
    def depths(self) -> tuple[int, ...]:
        """Depths at which the network can be run, ascending, to be chosen while a video runs; empty: it has but one."""
        return ()

    def __post_init__(self) -> None:
        for name, value in self.to_dict().items():
            least = -1 if name == "short_edge" else 0 if name.endswith(("drop_path", "freeze_at")) else 1
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value < least:
                raise ValueError(f"field {name!r} of {type(self).__name__} must be at least {least}, got {value}")


INFERENCE_FIELDS = tuple(ModelConfig.field_types())


def register_model(name: str):
    """Class decorator that files a model config under ``name``."""
    return MODELS.register(name)


def list_models() -> list[str]:
    """Names of all models, in the order of the model zoo."""
    return MODELS.names()


def get_model_config(name: str, **changes: object) -> ModelConfig:
    """Return the config of a model, with some fields changed.

    Raises:
        ValueError: unknown model, unknown field, or a value of the wrong type; near names are listed.
    """
    return MODELS.get(name)().override(**changes)


def models_with_depths() -> list[str]:
    """Names of the models whose depth can be chosen at run time."""
    return [name for name in MODELS.names() if get_model_config(name).depths]


def model_name(config: ModelConfig) -> str:
    """The name under which a config's class is registered."""
    for name in MODELS.names():
        if MODELS.get(name) is type(config):
            return name
    raise ValueError(f"{type(config).__name__} is not a registered model; file it with @register_model")
