"""Configs of all models. Importing this package registers them."""

from configs.models import aost, aot, deaot, jointformer, referformer, xmem  # noqa: F401 - registration
from configs.models.base import (
    INFERENCE_FIELDS,
    ModelConfig,
    PropagationConfig,
    get_model_config,
    list_models,
    model_name,
    models_with_depths,
    register_model,
)

__all__ = [
    "INFERENCE_FIELDS",
    "ModelConfig",
    "PropagationConfig",
    "get_model_config",
    "list_models",
    "model_name",
    "models_with_depths",
    "register_model",
]
