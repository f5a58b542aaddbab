"""``wsvis store``: try again what the store remembers as impossible."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wsvis.errors import InputError
from wsvis_platform.console import Screen

if TYPE_CHECKING:
    from wsvis_platform.store.manifest import Reason
    from wsvis_platform.store.store import Store


def store_retry(*, output: str = "runs", stage: str = "", video: str = "") -> None:
    """Clear the reasons why videos have no result; the next run tries these videos again.

    Results that are there stay. A video whose files have changed since is tried again by itself;
    this is for one that was set aside because processes died at it, or by a program mended since.

    Args:
        output: the folder that runs were given as --output.
        stage: only reasons of this stage; empty: of all.
        video: only of this video; empty: of all.
    """
    from wsvis.pipeline import BY_NAME
    from wsvis.settings import suggestion
    from wsvis_platform.store.store import Store

    root = Path(output).expanduser() / "store"
    if not (root / "objects").is_dir():
        raise InputError(f"{root}: there is no store; give the --output of your runs")
    if stage and stage not in BY_NAME:
        raise InputError(f"--stage {stage}: no such stage; {suggestion(stage, set(BY_NAME))}")
    store = Store(root)
    with Screen() as screen:
        cleared = busy = 0
        for name, key in sorted({*store.entries("objects"), *store.entries("staging")}):
            if stage and name != stage:
                continue
            reasons = cleared_reasons(store, name, key, video)
            if reasons is None:
                busy += 1
                screen.warn(f"{name} [{key[:8]}]: is being computed; try again when it is done")
                continue
            for each, reason in sorted(reasons.items()):
                cleared += 1
                screen.line(f"{name} [{key[:8]}] {each}: {reason.text}")
        what = "1 reason" if cleared == 1 else f"{cleared} reasons"
        screen.line(f"{what} cleared; run the same command again" if cleared else _nothing(busy))


def cleared_reasons(
    store: Store, stage: str, key: str, video: str = ""
) -> dict[str, Reason] | None:
    """Clear the recorded reasons of one entry, complete or in progress.

    Args:
        store: where it is.
        stage: of the entry.
        key: of the entry.
        video: only of this video; empty: of all.

    Returns:
        Video -> the reason that was cleared; ``None`` while somebody computes the entry.
    """
    from wsvis_platform.store.leases import free_lease

    def chosen(reasons: dict[str, Reason]) -> dict[str, Reason]:
        return {each: reason for each, reason in reasons.items() if not video or each == video}

    with free_lease(store, key) as held:
        if not held:
            return None
        manifest = store.manifest(stage, key)
        staging = store.staging(stage, key)
        if manifest is None:
            reasons = chosen(staging.reasons())
            for each in reasons:
                staging.forget(each)
            return reasons
        reasons = chosen(manifest.reasons())
        if reasons:
            store.reopen(stage, key, again=reasons)
        return reasons


def _nothing(busy: int) -> str:
    return "nothing to clear" if not busy else "nothing cleared yet"
