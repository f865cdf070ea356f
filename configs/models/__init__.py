"""Configs of all models. Importing this package registers them."""

from voskit.configs.models import (
    aost,  # noqa: F401 - registration
    aot,  # noqa: F401 - registration
    deaot,  # noqa: F401 - registration
    jointformer,  # noqa: F401 - registration
    referformer,  # noqa: F401 - registration
    xmem,  # noqa: F401 - registration
)
from voskit.configs.models.base import (
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
