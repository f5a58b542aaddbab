"""Masks made to fit the object after a method has found them."""
