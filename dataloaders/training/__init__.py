"""Training data: clips from still images and from videos.

Pass ``collate`` to the ``DataLoader``, and call ``set_epoch`` before each pass::

    data = build_training_data(get_stage_config("pre_ytb_dav"), "datasets", crop=465)
    loader = DataLoader(data, batch_size=4, shuffle=True, num_workers=8, collate_fn=collate)
"""

from voskit.dataloaders.training.aot_images import StaticClips
from voskit.dataloaders.training.aot_videos import VideoClips, draw_frame_numbers
from voskit.dataloaders.training.build import TrainingData, build_training_data
from voskit.dataloaders.training.clip import ClipBatch, TrainClip, collate
from voskit.dataloaders.training.clip_dataset import AugmentationVersion, ClipDataset
from voskit.dataloaders.training.collage import CollageClips
from voskit.dataloaders.training.records import VideoRecord, folder_records, video_records
from voskit.dataloaders.training.xmem import SkipStaticClips, SkipVideoClips

__all__ = [
    "AugmentationVersion",
    "ClipBatch",
    "ClipDataset",
    "CollageClips",
    "SkipStaticClips",
    "SkipVideoClips",
    "StaticClips",
    "TrainClip",
    "TrainingData",
    "VideoClips",
    "VideoRecord",
    "build_training_data",
    "collate",
    "draw_frame_numbers",
    "folder_records",
    "video_records",
]
