"""Descriptions of all datasets. Importing this package registers them."""

from configs.datasets import davis, youtube, natural, panoptic, custom  # noqa: F401, I001 - registration, in this order
from configs.datasets.base import (
    DatasetConfig,
    expand,
    get_dataset_config,
    list_datasets,
    register_dataset,
)

__all__ = ["DatasetConfig", "expand", "get_dataset_config", "list_datasets", "register_dataset"]
