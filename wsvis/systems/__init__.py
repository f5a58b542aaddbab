"""Learning systems: what they train on, and each in a folder of its own."""

from __future__ import annotations

from wsvis.errors import InputError
from wsvis.settings import suggestion
from wsvis.systems.base import System
from wsvis.systems.boxinst.system import BOXINST, CONDINST
from wsvis.systems.mask_rcnn.system import MASK_RCNN

SYSTEMS: dict[str, System] = {
    "mask_rcnn": MASK_RCNN,
    "boxinst": BOXINST,
    "condinst": CONDINST,
}
"""Name, as the setting ``system`` has it -> the system."""


def check_system(name: str) -> None:
    """Refuse a system that does not exist."""
    if name not in SYSTEMS:
        raise InputError(f"system is {name!r}; {suggestion(name, SYSTEMS)}")
