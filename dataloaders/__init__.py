"""Files to tensors: frames, masks, datasets, sampling and augmentation.

Import from the modules, so that code that only samples training clips doesn't load a video library:

- ``voskit.dataloaders.video.frames``: ``open_frames`` reads a video, a folder of images, one image, a camera or a
  stream frame by frame.
- ``voskit.dataloaders.masks.files``: ``read_mask``, ``read_coco_masks``, ``write_mask``, ``davis_palette``,
  ``id_colors``.
"""

MAX_ID = 65535
"""Largest object id: mask files have at most 16 bits."""
