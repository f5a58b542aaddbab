"""Measures: frame AP, video AP, Cityscapes AP, semantic IoU, temporal consistency."""
