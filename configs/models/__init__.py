"""Model configs by family. A family's module is imported when one of its models is needed."""

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
