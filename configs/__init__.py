"""Typed configs of models, stages and datasets, and their registries."""

from voskit.configs.base import Config
from voskit.configs.models import (
    INFERENCE_FIELDS,
    ModelConfig,
    PropagationConfig,
    get_model_config,
    list_models,
    model_name,
    models_with_depths,
    register_model,
)
from voskit.configs.registry import Registry, suggest

__all__ = [
    "INFERENCE_FIELDS",
    "Config",
    "ModelConfig",
    "PropagationConfig",
    "Registry",
    "get_model_config",
    "list_models",
    "model_name",
    "models_with_depths",
    "register_model",
    "suggest",
]
