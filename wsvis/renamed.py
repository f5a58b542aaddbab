"""Old names of modules that have moved: they still import, with a deprecation warning.

For programs that import our modules; to be dropped with the first release.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

RENAMED = {
    "cam.backbone_weights": "backbones.weights",
    "cam.backbones": "backbones.networks",
    "cam.imagenet_head": "backbones.imagenet_head",
    "config_checks": "settings",
    "config_descriptions": "setting_descriptions",
    "data.atomic": "files.atomic",
    "data.indexed_png": "files.indexed_png",
    "data.json_input": "files.json_input",
    "data.regular_file": "files.regular_file",
    "data.write_video_files": "exports.video_files",
    "detector_config": "systems.config",
    "detectors": "systems",
    "detectors.backend": "systems.mask_rcnn.backend",
    "detectors.batches": "systems.clips",
    "detectors.build": "systems.mask_rcnn.build",
    "detectors.checkpoint": "systems.checkpoint",
    "detectors.detectron2_backend": "systems.mask_rcnn.detectron2_backend",
    "detectors.detectron2_parts": "systems.mask_rcnn.detectron2_parts",
    "detectors.labels": "systems.labels",
    "detectors.pairs": "systems.stored_clips",
    "detectors.predict": "systems.predict",
    "detectors.pyramid": "backbones.pyramid",
    "detectors.roi_pool": "systems.mask_rcnn.roi_pool",
    "detectors.schedule": "learning.schedule",
    "detectors.stages": "systems.stages",
    "detectors.torchvision_backend": "systems.mask_rcnn.torchvision_backend",
    "detectors.train": "systems.mask_rcnn.learner",
    "evaluation.cityscapes_files": "formats.cityscapes_files",
    "evaluation.entry_members": "formats.entry_members",
    "evaluation.frame_results": "formats.frame_results",
    "evaluation.json_elements": "formats.json_elements",
    "evaluation.rle_sums": "rle_sums",
    "evaluation.server_zip": "formats.server_zip",
    "evaluation.vis_results": "formats.vis_results",
    "evaluation.vis_truth": "formats.vis_truth",
    "irn.crf": "refinement.crf",
    "irn.stencil": "stencil",
    "irn_config": "irn.config",
    "maskconsist.instances": "instances",
    "measure_config": "evaluation.config",
    "tracking.results": "formats.track_results",
    "stage_keys": "plan",
    "training_length": "learning.length",
    "training_state": "learning.state",
    "workers": "learning.workers",
}
"""Old -> new, within the package."""


class OldNames(MetaPathFinder, Loader):
    """Finds modules of a package by their old names.

    Args:
        package: whose modules.
        renamed: old -> new, without the package's name.
    """

    def __init__(self, package: str, renamed: Mapping[str, str]) -> None:
        self.renamed = {f"{package}.{old}": f"{package}.{new}" for old, new in renamed.items()}

    def find_spec(
        self, fullname: str, path: Any, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module of the new name, for an old one."""
        return ModuleSpec(fullname, self) if fullname in self.renamed else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """A placeholder, which :meth:`exec_module` replaces."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Put the module of the new name in its place: one module, two names."""
        old = module.__name__
        new = self.renamed[old]
        warnings.warn(f"{old} is now called {new}", DeprecationWarning, stacklevel=2)
        sys.modules[old] = import_module(new)


def keep_old_names(package: str, renamed: Mapping[str, str]) -> None:
    """Let the old names of a package's modules be imported."""
    sys.meta_path.insert(0, OldNames(package, renamed))


def contents_of(module: str) -> Callable[[str], Any]:
    """``__getattr__`` of a package that was a module: what it held is found in it still.

    Args:
        module: where that lies now.
    """

    def find(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(module), name)

    return find
