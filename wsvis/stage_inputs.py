"""What stages read, and which settings count, where that depends on the settings themselves.

A switch that is off takes inputs and settings away: plain IRN is not trained again for another flow
provider, nor masks made again for another T where A is 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields

from wsvis.config import Config
from wsvis.refinement.config import CrfConfig
from wsvis.systems import SYSTEMS

KERNELS = tuple(f"crf.{each.name}" for each in fields(CrfConfig) if each.name != "enabled")


def roles(*names: str, **more: str) -> dict[str, str]:
    """Role -> stage: stages in the role of their own name, then others."""
    return {name: name for name in names} | more


def fcam_settings(config: Config) -> tuple[str, ...]:
    """Settings of Eq. 2; with A = 1 it changes nothing, whatever T is."""
    names = ("fcam.amplification", "fcam.percentile", "fcam.floor")
    return names if config.fcam.amplification > 1 else names[:1]


def map_reads(config: Config) -> Mapping[str, str]:
    """Class maps, and motion where Eq. 2 uses it."""
    return roles("cam", "motion") if config.fcam.amplification > 1 else roles("cam")


def refinement_settings(config: Config) -> tuple[str, ...]:
    """Of what is done to masks; the CRF's kernels are those of the CRF on labels."""
    return ("motion_split", "mask_crf", *(KERNELS if config.mask_crf.enabled else ()))


def refinement_reads(labels: str) -> Callable[[Config], Mapping[str, str]]:
    """The masks of a stage, and flow where they are cut along it."""

    def reads(config: Config) -> Mapping[str, str]:
        flow = ("flow",) if config.motion_split.enabled else ()
        return roles("frames", *flow, labels=labels)

    return reads


def form_settings(config: Config, weights: bool = False) -> tuple[str, ...]:
    """How frames are shown to a backbone; ``auto`` follows from its weights."""
    names = ("classifier.normalisation", "classifier.stride_two_padding")
    auto = "auto" in (config.classifier.normalisation, config.classifier.stride_two_padding)
    return (*names, "classifier.backbone", "classifier.weights") if auto or weights else names


def irn_reads(config: Config) -> Mapping[str, str]:
    """Flow where Eq. 3 takes part, the classifier where training starts from it."""
    first = ("classifier",) if config.irn.initial == "classifier" else ()
    eq3 = ("flow",) if config.flow_boundary.weight > 0 else ()
    return roles("frames", "ir_labels", *first, *eq3)


def irn_settings(config: Config) -> tuple[str, ...]:
    """Of its training, and of the backbone it starts from."""
    return ("irn", "flow_boundary", *form_settings(config, config.irn.initial == "imagenet"))


def walk_reads(config: Config) -> Mapping[str, str]:
    """The network, and what its seeds are made of."""
    plain = roles("cam") if config.walk.seeds == "cam" else map_reads(config)
    return {**plain, "irn": "irn"}


def system_reads(config: Config) -> Mapping[str, str]:
    """The labels chosen, and what the system chosen wants beside them."""
    first = ("classifier",) if config.detector.weights == "classifier" else ()
    return roles("frames", *first, *SYSTEMS[config.system].reads, labels=config.labels)


def system_settings(config: Config) -> tuple[str, ...]:
    """Of the training, and the system's own."""
    return ("system", "detector", *SYSTEMS[config.system].settings, *form_settings(config))
