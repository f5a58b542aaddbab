"""MaskConsist: stable predictions of one frame become labels of the other (paper Sec. 3.3)."""
