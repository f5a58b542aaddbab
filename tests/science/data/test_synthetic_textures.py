"""Patterns, noise and sprites of the synthetic data set, and the stills for pre-training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wsvis.backbones.networks import build_backbone
from wsvis.backbones.normalise import normalise_frames
from wsvis.backbones.weights import STANDIN, load_backbone_weights
from wsvis.data import stills
from wsvis.data.synthetic_parameters import CLASSES, GeneratorParameters
from wsvis.data.synthetic_sprites import (
    BODY_HUES,
    HEAD_HUES,
    HUE_JITTER,
    glyph_coverage,
    object_sprite,
)
from wsvis.data.synthetic_textures import (
    STRIPS,
    TEXTURES,
    background_image,
    grey_pattern,
    power_law_noise,
    split_uniform,
)
from wsvis.payload import from_bytes


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_split_uniform_stays_on_its_strips(seed, is_val):
    value = split_uniform(np.random.default_rng(seed), 2.0, 5.0, is_val)
    strip = int((value - 2.0) / 3.0 * STRIPS)
    assert 2.0 <= value < 5.0
    assert strip % 2 == int(is_val)


@pytest.mark.parametrize("name", TEXTURES)
def test_patterns_repeat_after_their_period(name):
    x, y = np.meshgrid(np.arange(40.0), np.arange(30.0))
    # at angle 0 a whole number of periods to the right changes nothing (zigzag: two periods)
    first = grey_pattern(name, x, y, period=8.0, angle=0.0, phase=(0.3, 0.7))
    moved = grey_pattern(name, x + 16.0, y, period=8.0, angle=0.0, phase=(0.3, 0.7))
    assert np.abs(first - moved).max() < 1e-4
    assert first.min() >= 0
    assert first.max() <= 1
    assert first.std() > 0.2


def test_stripes_by_hand():
    # period 8, angle 0, phase 0: sin(2 pi 2 / 8) = 1 at x = 2 -> 0.5 + 0.5 tanh(2) = 0.98201
    x, y = np.array([[0.0, 2.0]]), np.zeros((1, 2))
    value = grey_pattern("stripes", x, y, period=8.0, angle=0.0, phase=(0.0, 0.0))
    assert value == pytest.approx(np.array([[0.5, 0.98201]]), abs=1e-5)


def test_unknown_pattern_is_refused():
    with pytest.raises(ValueError, match="no texture is called 'plaid'"):
        grey_pattern("plaid", np.zeros((1, 1)), np.zeros((1, 1)), 1.0, 0.0, (0.0, 0.0))


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5])
def test_noise_falls_with_frequency_as_asked(exponent):
    rng = np.random.default_rng(0)
    power = np.zeros((64, 33))
    for _ in range(40):
        power += np.abs(np.fft.rfft2(power_law_noise(rng, 64, 64, exponent))) ** 2
    # along one axis: amplitude ~ f ** -exponent, so log-log slope of power is -2 exponent
    f = np.arange(2, 30)
    slope = np.polyfit(np.log(f), np.log(power[0, 2:30]), 1)[0]
    assert slope == pytest.approx(-2 * exponent, abs=0.15)


def test_background_is_of_low_saturation():
    image = background_image(np.random.default_rng(1), 96, 128, 1.0, is_val=False)
    assert image.shape == (96, 128, 3)
    assert image.min() >= 0
    assert image.max() <= 1
    value = image.max(-1)
    saturation = (value - image.min(-1)) / np.maximum(value, 1e-6)
    assert np.median(saturation) < 0.35


def test_glyphs_differ_and_fill_a_fair_part_of_the_head():
    axis = np.linspace(-1, 1, 41)
    x, y = np.meshgrid(axis, axis)
    disc = np.hypot(x, y) <= 1
    glyphs = [glyph_coverage(label, x, y, softness=0.05)[disc] for label in range(len(CLASSES))]
    for i, glyph in enumerate(glyphs):
        assert 0.1 < glyph.mean() < 0.6
        for other in glyphs[:i]:
            assert np.abs(glyph - other).mean() > 0.1


def test_head_share_of_a_sprite():
    parameters = GeneratorParameters()
    shares = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sprite = object_sprite(rng, seed % 8, 60.0, parameters, is_val=False)
        shares.append((sprite.head > 0.5).sum() / (sprite.image[..., 3] > 0.5).sum())
        extent = np.flatnonzero((sprite.image[..., 3] > 0.5).any(0))
        assert extent[-1] - extent[0] + 1 == pytest.approx(2 * 60.0, abs=4)  # drawn twice as fine
    assert min(shares) > 0.34
    assert max(shares) < 0.44


def test_stills_share_no_hue_texture_or_glyph_with_the_clips():
    for hue in stills.HUES:
        apart = [abs((hue - other + 0.5) % 1 - 0.5) for other in (*BODY_HUES, *HEAD_HUES)]
        assert min(apart) > stills.HUE_JITTER + HUE_JITTER
    assert not set(stills.TEXTURES) & set(TEXTURES)


def test_stills_classes_have_looks_of_their_own():
    looks = {(stills.class_look(c).texture, stills.class_look(c).hue) for c in range(80)}
    assert len(looks) == stills.CLASS_COUNT == 80
    assert {stills.class_look(c).letter for c in range(80)} == set(stills.LETTERS)


def test_stills_are_repeatable_and_varied():
    images, labels = stills.stills("train", 78, 4)
    again, _ = stills.stills("train", 78, 4)
    assert (images == again).all()
    assert labels.tolist() == [78, 79, 0, 1]
    assert images.shape == (4, 96, 96, 3)
    other, _ = stills.stills("held-out", 78, 4)
    assert np.abs(images.astype(float) - other).mean() > 10


@pytest.mark.parametrize("name", stills.TEXTURES)
def test_stills_textures_use_their_range(name):
    x, y = np.meshgrid(np.arange(64.0), np.arange(64.0))
    grey = stills.grey_texture(
        np.random.default_rng(2), name, x.astype(np.float32), y.astype(np.float32)
    )
    assert grey.min() >= 0
    assert grey.max() <= 1
    assert grey.std() > 0.2


def test_the_stand_in_is_small_and_says_how_it_was_made():
    payload = from_bytes(STANDIN.read_bytes())
    assert STANDIN.stat().st_size < 5_000_000
    assert payload.data["made_by"].endswith("/pretrain_standin.py")
    assert {"seed", "iterations", "held_out_accuracy"} <= set(payload.data)
    backbone = build_backbone("small")
    load_backbone_weights(backbone, "standin")
    first = backbone.state_dict()["stages.0.0.weight"].numpy()
    assert (first == payload.arrays["stages.0.0.weight"]).all()


@pytest.mark.slow
def test_the_stand_in_tells_unseen_stills_apart():
    # nearest class mean of its features; chance is 1 in 80
    backbone = build_backbone("small")
    load_backbone_weights(backbone, "standin")
    images, labels = stills.stills("held-out", 0, 400)
    with torch.inference_mode():
        x = normalise_frames(torch.from_numpy(images), "imagenet")
        features = torch.cat([backbone(part)[-1].mean((2, 3)) for part in x.split(80)])
    features = torch.nn.functional.normalize(features - features.mean(0), dim=1)
    means = torch.stack([features[:320][labels[:320] == c].mean(0) for c in range(80)])
    found = (features[320:] @ means.T).argmax(1).numpy()
    assert (found == labels[320:]).mean() > 0.2
