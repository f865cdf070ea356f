"""Video datasets: benchmarks or your own data, with frames and given masks."""

from voskit.dataloaders.datasets.dataset import Dataset, open_dataset, read_dataset_config
from voskit.dataloaders.datasets.problem import Problem, raise_problem
from voskit.dataloaders.datasets.video import ANNOTATORS, Video, image_size

__all__ = [
    "ANNOTATORS",
    "Dataset",
    "Problem",
    "Video",
    "image_size",
    "open_dataset",
    "raise_problem",
    "read_dataset_config",
]
