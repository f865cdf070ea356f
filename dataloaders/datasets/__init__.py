"""Datasets by description: the videos of a benchmark, or of one's own, with their frames and given masks."""

from dataloaders.datasets.dataset import Dataset, open_dataset, read_dataset_config
from dataloaders.datasets.problems import Problem, raise_problem
from dataloaders.datasets.video import ANNOTATORS, Video, image_size

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
