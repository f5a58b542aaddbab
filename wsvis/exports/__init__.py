"""Masks and tracks as files for other programs: COCO, DAVIS, CVAT, YouTube-VIS."""
