"""From files to tensors: frames, masks, dataset layouts, sampling and augmentation.

Import from the modules themselves, so that a room which only samples training clips loads no video library:

- ``voskit.dataloaders.video.frames``: ``open_frames`` reads a video, an image folder, an image, a camera or a
  stream frame by frame.
- ``voskit.dataloaders.masks.files``: ``read_mask``, ``read_coco_masks``, ``write_mask``, ``davis_palette``,
  ``id_colors``.
"""
