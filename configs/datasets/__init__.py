"""Dataset descriptions. Importing this package registers all of them."""

from voskit.configs.datasets import davis  # noqa: F401, I001 - registration, in this order
from voskit.configs.datasets import youtube  # noqa: F401 - registration, in this order
from voskit.configs.datasets import mose  # noqa: F401 - registration, in this order
from voskit.configs.datasets import lvos  # noqa: F401 - registration, in this order
from voskit.configs.datasets import vost  # noqa: F401 - registration, in this order
from voskit.configs.datasets import visor  # noqa: F401 - registration, in this order
from voskit.configs.datasets import burst  # noqa: F401 - registration, in this order
from voskit.configs.datasets import longvideo  # noqa: F401 - registration, in this order
from voskit.configs.datasets import probe  # noqa: F401 - registration, in this order
from voskit.configs.datasets import panoptic  # noqa: F401 - registration, in this order
from voskit.configs.datasets import custom  # noqa: F401 - registration, in this order
from voskit.configs.datasets.base import DatasetConfig, expand, get_dataset_config, list_datasets, register_dataset

__all__ = ["DatasetConfig", "expand", "get_dataset_config", "list_datasets", "register_dataset"]
