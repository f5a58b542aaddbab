import cv2
import numpy as np
import torch

from reference.tracking_scenes import frame_of
from wsvis.backbones.networks import build_backbone
from wsvis.backbones.normalise import normalise_frames
from wsvis.tracking.boxes import boxes_of
from wsvis.tracking.places import place_descriptors
from wsvis.tracking.reid import box_crops, reid_descriptors


def textured(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_a_crop_of_the_right_size_is_the_pixels_themselves():
    frame = textured()
    crops = box_crops(frame, np.array([[4.0, 2, 20, 18], [7, 7, 7, 9]]), 16)
    np.testing.assert_array_equal(crops[0], frame[2:18, 4:20])
    assert (crops[1] == 0).all()


def test_descriptors_are_the_pooled_features_of_the_crop():
    torch.manual_seed(0)
    backbone = build_backbone("small")
    frame, found = textured(), frame_of((4, 2, 20, 18, 0.9, 0), (30, 5, 50, 38, 0.8, 1))
    (vectors,) = reid_descriptors(backbone, [frame], [found], crop=32, batch=1)
    crop = cv2.resize(frame[5:38, 30:50], (32, 32), interpolation=cv2.INTER_LINEAR)
    with torch.no_grad():
        features = backbone(normalise_frames(torch.from_numpy(crop[None]), "imagenet"))[-1][0]
    mean = features.reshape(features.shape[0], -1).sum(1) / features[0].numel()
    expected = (mean / mean.square().sum().sqrt()).numpy()
    np.testing.assert_allclose(vectors[1], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.square(vectors).sum(1), 1, rtol=1e-5)


def test_batches_and_empty_frames_change_nothing():
    torch.manual_seed(0)
    backbone = build_backbone("small")
    frames = [textured(n) for n in range(4)]
    found = [
        frame_of((4, 2, 20, 18, 0.9, 0)),
        frame_of(),
        frame_of((4, 2, 20, 18, 0.9, 0), (30, 5, 50, 38, 0.8, 1)),
        frame_of(),
    ]
    one = reid_descriptors(backbone, frames, found, crop=32, batch=1)
    many = reid_descriptors(backbone, iter(frames), found, crop=32)
    assert [len(v) for v in one] == [1, 0, 2, 0] == [len(v) for v in many]
    for a, b in zip(one, many, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert reid_descriptors(backbone, [], []) == []
    assert backbone.training  # left as it was


def test_the_same_looks_are_nearer_than_different_ones():
    torch.manual_seed(0)
    backbone = build_backbone("small")
    first = np.zeros((40, 60, 3), np.uint8)
    first[5:25, 5:25] = textured(1)[:20, :20]
    first[5:25, 35:55] = 180
    second = first[:, ::-1].copy()  # places swapped, looks (almost) kept
    found = frame_of((5, 5, 25, 25, 0.9, 0), (35, 5, 55, 25, 0.9, 0))
    a, b = reid_descriptors(backbone, [first, second], [found, found], crop=32)
    same = np.linalg.norm(a[0] - b[1]) + np.linalg.norm(a[1] - b[0])
    different = np.linalg.norm(a[0] - b[0]) + np.linalg.norm(a[1] - b[1])
    assert same < 0.5 * different


def test_places_by_hand():
    # A 30 x 40 frame has a diagonal of 50. Box 10,20 to 20,24: centre 15,22, size 10,4.
    found = frame_of((10, 20, 20, 24, 0.9, 0), height=30, width=40)
    (places,) = place_descriptors([found], 30, 40)
    np.testing.assert_allclose(places, [[15 / 50, 22 / 50, 10 / 50, 4 / 50]])
    np.testing.assert_array_equal(boxes_of(found.masks), [[10, 20, 20, 24]])
