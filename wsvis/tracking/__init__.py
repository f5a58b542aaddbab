"""Trackers: frame predictions in, tracks out."""
