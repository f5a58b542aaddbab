"""Parsers of other people's formats: YouTube-VIS, COCO, Cityscapes, results files."""
