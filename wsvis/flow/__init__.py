"""Optical flow: providers, storage, and operations on flow fields."""
