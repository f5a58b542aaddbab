"""A pipeline of made-up stages in place of the real one, for a test."""

from wsvis import pipeline


def use_stages(monkeypatch, stages):
    """Plans, stores and workers of this process know these stages and no others."""
    for name in list(pipeline.BY_NAME):
        monkeypatch.delitem(pipeline.BY_NAME, name)
    for stage in stages:
        monkeypatch.setitem(pipeline.BY_NAME, stage.name, stage)
    monkeypatch.setattr(pipeline, "STAGES", tuple(stages))
