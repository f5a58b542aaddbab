"""Algorithm 1, IoM-NMS, and the whole of MaskConsist on hand-made scenes."""

from __future__ import annotations

from functools import partial

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import maskconsist as slow
from reference.maskconsist_scenes import (
    GATE,
    PAPER,
    as_dicts,
    flows,
    instances,
    rectangle,
    scene,
    shift,
)
from science.maskconsist.test_maskconsist_matching import close
from wsvis.instances import concatenate
from wsvis.maskconsist import assignment, inter_frame
from wsvis.maskconsist import iom_nms as iom_nms_file
from wsvis.maskconsist import refine as refine_file

refine = partial(refine_file.refine, **PAPER)
iom_nms = partial(iom_nms_file.iom_nms, iom_threshold=0.5)
inter_frame_matching = partial(inter_frame.inter_frame_matching, min_match_iou=0.0)
temporally_consistent_labels = partial(assignment.temporally_consistent_labels, **GATE)
STILL = torch.zeros(24, 32, 2)


@settings(max_examples=30)
@given(instances(4), instances(4), instances(3), flows, st.sampled_from(["box", "mask"]))
def test_algorithm_1_agrees_with_the_loops(a, b, labels, flow, overlap):
    matching = inter_frame_matching(a, b, flow)
    got = temporally_consistent_labels(a, b, matching, labels, flow, overlap=overlap)
    pairs = list(zip(matching.first.tolist(), matching.second.tolist(), strict=True))
    expected = slow.algorithm_1(
        as_dicts(a), as_dicts(b), pairs, as_dicts(labels), flow.tolist(), overlap=overlap
    )
    close(got, expected)


@given(instances(6), st.sampled_from([0.0, 0.5, 0.9]), st.integers(0, 6))
def test_iom_nms_agrees_with_the_loops(frame, threshold, first):
    got = iom_nms(frame, iom_threshold=threshold, first=first)
    assert got.tolist() == slow.iom_nms(as_dicts(frame), threshold, first)


@given(instances(6), st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_iom_nms_twice_is_iom_nms_once(frame, threshold):
    once = frame[iom_nms(frame, iom_threshold=threshold)]
    assert len(iom_nms(once, iom_threshold=threshold)) == len(once)
    assert len(once) > 0 or len(frame) == 0


@settings(max_examples=30)
@given(instances(5), st.randoms(use_true_random=False))
def test_iom_nms_does_not_depend_on_the_order_of_different_areas(frame, random):
    areas = frame.masks.flatten(1).sum(1).tolist()
    frame = frame[torch.tensor([n for n, x in enumerate(areas) if areas.index(x) == n]).long()]
    order = torch.tensor(random.sample(range(len(frame)), len(frame)), dtype=torch.int64)
    kept = set(order[iom_nms(frame[order])].tolist())
    assert kept == set(iom_nms(frame).tolist())


def test_a_contained_mask_goes_and_its_class_decides():
    whole, part = rectangle(0, 0, 10, 10), rectangle(2, 2, 6, 6)
    half_out = rectangle(8, 0, 16, 10)  # 20 of its 80 pixels lie inside: IoM .25
    frame = scene((part, 0), (whole, 0), (half_out, 0), (part, 1))
    assert iom_nms(frame).tolist() == [1, 2, 3]
    assert iom_nms(frame, iom_threshold=0.2).tolist() == [1, 3]
    assert iom_nms(frame, first=1).tolist() == [0, 2, 3]  # the part is asked first and stays alone


def test_an_iom_of_exactly_the_threshold_stays():
    frame = scene((rectangle(0, 0, 10, 10), 0), (rectangle(5, 0, 15, 10), 0))  # 50 of 100
    assert iom_nms(frame, iom_threshold=0.5).tolist() == [0, 1]
    assert iom_nms(frame, iom_threshold=0.49).tolist() == [0]


@settings(max_examples=30)
@given(instances(3), instances(3), instances(3), instances(3), flows, flows)
def test_the_whole_agrees_with_the_loops(p_a, p_b, l_a, l_b, f_ab, f_ba):
    got = refine((p_a, p_b), (l_a, l_b), f_ab, f_ba)
    a, b = slow.intra(as_dicts(p_a), as_dicts(l_a)), slow.intra(as_dicts(p_b), as_dicts(l_b))
    # several matchings may be best: the twin follows the one that was found
    expanded = [_with(p_a, a), _with(p_b, b)]
    for x, (source, target, own, others, flow) in {
        1: (0, 1, l_b, l_a, f_ba),
        0: (1, 0, l_a, l_b, f_ab),
    }.items():
        m = inter_frame_matching(expanded[source], expanded[target], flow)
        pairs = list(zip(m.first.tolist(), m.second.tolist(), strict=True))
        new = slow.algorithm_1(
            [a, b][source], [a, b][target], pairs, as_dicts(others), flow.tolist()
        )
        together = as_dicts(own) + [n for n in new if n["mask"]]
        close(got[x], [together[n] for n in slow.iom_nms(together)])


def _with(predictions, dicts):
    added = []
    for found in dicts[len(predictions) :]:
        mask = torch.zeros(predictions.masks.shape[1:], dtype=torch.bool)
        for row, column in found["mask"]:
            mask[row, column] = True
        added.append((mask, found["label"], found["score"]))
    height, width = predictions.masks.shape[1:]
    return concatenate([predictions, scene(*added, height=height, width=width)])


def moving_object():
    """An object that moves 6 px to the right between the frames; flow both ways."""
    at_a, at_b = rectangle(4, 4, 16, 12), rectangle(4, 10, 16, 18)
    return at_a, at_b, shift(right=6), shift(right=-6)


def test_an_object_without_a_label_in_one_frame_is_recovered():
    at_a, at_b, f_ab, f_ba = moving_object()
    predictions = scene((at_a, 3, 0.9)), scene((at_b, 3, 0.8))
    # IRN missed it in b
    targets = refine(predictions, (scene((at_a, 3)), scene()), f_ab, f_ba)
    assert len(targets[0]) == len(targets[1]) == 1
    assert torch.equal(targets[1].masks[0], at_b)
    assert targets[1].boxes.tolist() == [[10, 4, 18, 16]]
    assert targets[1].labels.tolist() == [3]


def test_a_match_without_a_pseudo_label_is_not_transferred():
    at_a, at_b, f_ab, f_ba = moving_object()
    elsewhere = rectangle(0, 24, 8, 32)
    predictions = (
        scene((at_a, 3), (elsewhere, 1)),
        scene((at_b, 3), (rectangle(0, 30, 8, 32), 1)),
    )
    targets = refine(predictions, (scene((at_a, 3)), scene()), f_ab, f_ba)
    assert targets[1].labels.tolist() == [3]
    # a label of the right place and the wrong class supports nothing either
    targets = refine(predictions, (scene((at_a, 0)), scene()), f_ab, f_ba)
    assert len(targets[1]) == 0


def test_a_prediction_of_one_frame_alone_is_not_transferred():
    at_a, at_b, f_ab, f_ba = moving_object()
    del at_b
    targets = refine((scene((at_a, 3)), scene()), (scene((at_a, 3)), scene()), f_ab, f_ba)
    assert len(targets[1]) == 0


def test_a_part_in_one_frame_grows_to_the_whole():
    # in b the detector sees the upper half only; what is carried from a completes it
    at_a, at_b, f_ab, f_ba = moving_object()
    upper = rectangle(4, 10, 10, 18)
    targets = refine(
        (scene((at_a, 3)), scene((upper, 3))), (scene((at_a, 3)), scene((upper, 3))), f_ab, f_ba
    )
    # the whole suppresses the part, in which it is contained
    assert len(targets[1]) == 1
    assert torch.equal(targets[1].masks[0], at_b)
    kept = refine(
        (scene((at_a, 3)), scene((upper, 3))),
        (scene((at_a, 3)), scene((upper, 3))),
        f_ab,
        f_ba,
        iom_threshold=None,
    )
    assert len(kept[1]) == 2


def test_fragments_are_carried_as_one_object():
    at_a, at_b, f_ab, f_ba = moving_object()
    top, bottom = rectangle(4, 4, 12, 12), rectangle(8, 4, 16, 12)  # box IoU 64/96 each
    predictions = scene((top, 3), (bottom, 3)), scene((at_b, 3))
    labels = scene((at_a, 3)), scene()
    with_union = refine(predictions, labels, f_ab, f_ba)
    assert torch.equal(with_union[1].masks[0], at_b)
    # without intra-frame matching one fragment is matched: its merge with b's is b's own mask,
    # but nothing whole comes back to a
    without = refine((predictions[0], scene((top.roll(6, 1), 3))), labels, f_ab, f_ba, intra=False)
    assert int(without[1].masks.sum()) == int(top.sum())


def test_an_object_that_leaves_the_frame_gives_no_label():
    gone = rectangle(4, 20, 16, 32)
    # everything moves out to the right by 20 px; b's prediction of the class lies far away
    f_ab, f_ba = shift(right=20), shift(right=-20)
    predictions = scene((gone, 3)), scene((rectangle(0, 0, 3, 3), 3))
    targets = refine(predictions, (scene((gone, 3)), scene()), f_ab, f_ba)
    assert len(targets[1]) == 0
    assert len(targets[0]) == 1
    # half out: the rest of it is carried
    f_ab, f_ba = shift(right=6), shift(right=-6)
    rest = rectangle(4, 26, 16, 32)
    targets = refine((scene((gone, 3)), scene((rest, 3))), (scene((gone, 3)), scene()), f_ab, f_ba)
    assert torch.equal(targets[1].masks[0], rest)


def test_without_inter_frame_matching_a_frame_supports_only_itself():
    at_a, at_b, f_ab, f_ba = moving_object()
    predictions = scene((at_a, 3, 0.9)), scene((at_b, 3, 0.8))
    labels = scene((rectangle(4, 4, 12, 12), 3)), scene()  # box IoU with at_a: 64/96
    targets = refine(predictions, labels, f_ab, f_ba, inter=False)
    assert len(targets[1]) == 0
    assert torch.equal(targets[0].masks, at_a[None])


@settings(max_examples=30)
@given(instances(3), instances(3), instances(3), instances(3), flows, flows)
def test_exchanging_the_frames_exchanges_the_targets(p_a, p_b, l_a, l_b, f_ab, f_ba):
    there = refine((p_a, p_b), (l_a, l_b), f_ab, f_ba)
    back = refine((p_b, p_a), (l_b, l_a), f_ba, f_ab)
    close(back[1], as_dicts(there[0]))
    close(back[0], as_dicts(there[1]))


@settings(max_examples=30)
@given(instances(3))
def test_labels_alone_and_identity_flow_change_nothing_but_contained_masks(labels):
    labels = labels[labels.masks.flatten(1).any(1)]
    labels = labels[iom_nms(labels)]
    still = torch.zeros(6, 7, 2)
    nothing = labels[torch.zeros(0, dtype=torch.int64)]
    for predictions in (nothing, labels):
        # (intra-frame matching would carry the union of labels whose boxes overlap)
        targets = refine((predictions, predictions), (labels, labels), still, still, intra=False)
        close(targets[0], as_dicts(labels))


def test_labels_within_one_box_are_carried_as_their_union():
    """Two L shapes, each with the other's corner: boxes overlap, masks do not."""
    high, low = rectangle(0, 0, 1, 8), rectangle(7, 1, 8, 8)
    high[7, 0] = low[0, 7] = True
    high[0, 7] = False
    labels = scene((high, 0), (low, 0))
    assert len(iom_nms(labels)) == 2
    targets = refine((labels, labels), (labels, labels), STILL, STILL)
    assert torch.equal(targets[0].masks, (high | low)[None])
    apart = refine((labels, labels), (labels, labels), STILL, STILL, intra=False)
    close(apart[0], as_dicts(labels))


def test_targets_carry_no_gradient():
    scores = torch.tensor([0.5], requires_grad=True)
    at_a, at_b, f_ab, f_ba = moving_object()
    a = scene((at_a, 3))
    a = type(a)(a.boxes, a.labels, a.masks, scores)
    targets = refine((a, scene((at_b, 3))), (scene((at_a, 3)), scene()), f_ab, f_ba)
    assert not targets[1].scores.requires_grad


def test_a_pair_of_frames_without_anything():
    targets = refine((scene(), scene()), (scene(), scene()), STILL, STILL)
    assert [len(t) for t in targets] == [0, 0]


def test_with_labels_first_a_missed_object_is_added_and_a_label_never_grows():
    small, large = rectangle(4, 4, 8, 8), rectangle(3, 3, 9, 9)
    found = scene((large, 0))
    labels = scene((small, 0)), scene()
    literal = refine((found, found), labels, STILL, STILL, box_iou_threshold=0.3)
    kept = refine((found, found), labels, STILL, STILL, box_iou_threshold=0.3, labels_first=True)
    # b had no label: the object comes over; a's label stays as it was
    assert torch.equal(kept[0].masks, small[None])
    assert torch.equal(kept[1].masks, large[None])
    # frame b's object has no label of its own to carry back, so here the paper's order agrees
    close(literal[0], as_dicts(kept[0]))
    # both labelled: the paper's order replaces the small labels by the large prediction
    both = scene((small, 0)), scene((small, 0))
    literal = refine((found, found), both, STILL, STILL, box_iou_threshold=0.3)
    kept = refine((found, found), both, STILL, STILL, box_iou_threshold=0.3, labels_first=True)
    for grown, same in zip(literal, kept, strict=True):
        assert torch.equal(grown.masks, large[None])
        assert torch.equal(same.masks, small[None])


def test_labels_first_leaves_the_simple_case_alone():
    at_a, at_b, f_ab, f_ba = moving_object()
    predictions, labels = (scene((at_a, 3)), scene((at_b, 3))), (scene((at_a, 3)), scene())
    targets = refine(predictions, labels, f_ab, f_ba, labels_first=True)
    assert torch.equal(targets[1].masks[0], at_b)
