"""What is in a data set, as ``wsvis data check`` and a run show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsvis_platform.console import Screen

if TYPE_CHECKING:
    from rich.table import Table

    from wsvis.data.validate import Findings


def show_findings(screen: Screen, findings: Findings) -> None:
    """What is in a data set: videos, frames, sizes, and its classes as a table."""
    shortest, longest = findings.lengths
    screen.line(
        f"{findings.name} ({findings.kind}): {findings.videos} videos, {findings.frames} frames "
        f"({shortest} to {longest} per video), {len(findings.classes)} classes, "
        f"{'with' if findings.masks else 'without'} masks"
    )
    sizes = [f"{size} ({count})" for size, count in findings.sizes.items()]
    more = f", and {len(sizes) - 6} other sizes" if len(sizes) > 6 else ""
    screen.line(f"sizes (videos): {', '.join(sizes[:6])}{more}")
    if findings.classes:
        screen.show(_table(findings))
    if findings.unused:
        screen.line(f"listed but in no video, so left out: {', '.join(findings.unused)}")
    if findings.unlabelled_frames:
        screen.line(f"frames that show no class: {findings.unlabelled_frames}")


def _table(findings: Findings) -> Table:
    from rich.table import Table

    table = Table()
    table.add_column("class")
    for name in ("videos", "labelled frames", "instances"):
        table.add_column(name, justify="right")
    for count in findings.classes:
        instances = str(count.instances) if findings.masks else "-"
        table.add_row(count.name, str(count.videos), str(count.frames), instances)
    return table
