import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from wsvis.masks import encode_masks, rle_areas, run_lengths
from wsvis.rle_sums import sound_areas


def random_masks(seed, count, height, width):
    rng = np.random.default_rng(seed)
    density = rng.random((count, 1, 1)) ** 3
    masks = rng.random((count, height, width)) < density
    masks[rng.random(count) < 0.2] = False
    masks[rng.random(count) < 0.1] = True
    return masks


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 12),
    height=st.integers(1, 40),
    width=st.integers(1, 60),
)
@settings(max_examples=60, deadline=None)
def test_areas_of_sound_masks(seed, count, height, width):
    masks = random_masks(seed, count, height, width)
    areas, broken = sound_areas([r["counts"] for r in encode_masks(masks)], height, width)
    assert broken is None
    assert areas.tolist() == masks.sum(axis=(1, 2)).tolist()


def test_large_runs_take_several_digits():
    height = width = 4096
    counts = [
        coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)["counts"]
        for runs in ([height * width], [0, height * width], [1 << 20, 5, 3, (15 << 20) - 8])
    ]
    areas, broken = sound_areas([c.decode() for c in counts], height, width)
    assert broken is None
    assert areas.tolist() == [0, height * width, 5 + (15 << 20) - 8]


def is_sound(counts, height, width):
    """The same question, one string at a time."""
    try:
        runs = run_lengths(counts)
    except ValueError:
        return False
    return bool(len(runs) and (runs >= 0).all() and runs.sum() == height * width)


@given(
    seed=st.integers(0, 10_000),
    victim=st.integers(0, 4),
    spot=st.integers(0, 200),
    text=st.text(st.characters(min_codepoint=33, max_codepoint=300), max_size=3),
)
@settings(max_examples=150, deadline=None)
def test_the_first_damaged_string_is_found(seed, victim, spot, text):
    counts = [r["counts"] for r in encode_masks(random_masks(seed, 5, 9, 11))]
    spot %= len(counts[victim]) + 1
    counts[victim] = counts[victim][:spot] + text + counts[victim][spot + 1 :]
    _, broken = sound_areas(counts, 9, 11)
    assert broken == (None if is_sound(counts[victim], 9, 11) else victim)


def test_many_characters_are_handled_in_parts(monkeypatch):
    monkeypatch.setattr("wsvis.rle_sums._PART", 50)
    masks = random_masks(3, 40, 9, 11)
    counts = [rle["counts"] for rle in encode_masks(masks)]
    assert sum(map(len, counts)) > 500
    areas, broken = sound_areas(counts, 9, 11)
    assert broken is None
    assert areas.tolist() == masks.sum(axis=(1, 2)).tolist()
    for victim in (0, 17, 39):
        damaged = [*counts[:victim], counts[victim] + "1", *counts[victim + 1 :]]
        assert sound_areas(damaged, 9, 11)[1] == victim


def test_no_strings():
    areas, broken = sound_areas([], 3, 3)
    assert areas.tolist() == []
    assert broken is None


def test_areas_of_more_than_255_masks_from_the_coco_tool():
    # Its own function raises OverflowError on 256 masks with numpy 2.
    masks = random_masks(0, 600, 3, 4)
    assert rle_areas(encode_masks(masks)).tolist() == masks.sum(axis=(1, 2)).tolist()
