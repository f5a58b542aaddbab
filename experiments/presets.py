"""The presets of wsvis.presets by their short address, for scripts in this folder."""

from wsvis.presets import PRESETS, cpu, davis_mini, paper_cityscapes, paper_ytvis

__all__ = ["PRESETS", "cpu", "davis_mini", "paper_cityscapes", "paper_ytvis"]
