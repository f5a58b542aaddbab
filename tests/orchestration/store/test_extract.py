"""How videos are dealt to workers, and that workers stay from stage to stage."""

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsvis.config import Config
from wsvis.data.load import load_dataset
from wsvis.settings import with_overrides
from wsvis_platform.cluster.start import start_ray
from wsvis_platform.store.extract import LARGEST_BLOCK, block_sizes, ray_data_runner, wants_actors
from wsvis_platform.store.materialise import Materialiser
from wsvis_platform.store.store import Store


def test_blocks_shrink_towards_the_end():
    # 2 workers: a block is at most left // 4 and 16: 40 gives 10, 30 gives 7, 23 gives 5, 18 gives
    # 4, 14 gives 3, 11 and 9 give 2, then 7 // 4 = 1 and so on
    assert block_sizes(40, 2) == [10, 7, 5, 4, 3, 2, 2] + [1] * 7
    assert block_sizes(100, 2)[:3] == [16, 16, 16]
    assert block_sizes(3, 2) == [1, 1, 1]
    assert block_sizes(0, 2) == []
    assert block_sizes(40, 2, 1) == [1] * 40


@given(videos=st.integers(0, 3000), workers=st.integers(1, 64))
def test_every_video_is_in_one_block_and_no_block_keeps_the_others_waiting(videos, workers):
    sizes = block_sizes(videos, workers)
    assert sum(sizes) == videos
    assert all(1 <= size <= LARGEST_BLOCK for size in sizes)
    assert sizes == sorted(sizes, reverse=True)
    # what is left when a block goes out is at least 2 of its size for each worker
    for i, size in enumerate(sizes):
        assert size == 1 or sum(sizes[i:]) >= 2 * workers * size


@pytest.mark.parametrize(
    ("stage", "provider", "network"),
    [
        ("cam", "dis-medium", True),
        ("flow", "raft-small", True),
        ("flow", "dis-medium", False),
        ("pair_flow", "raft-small", True),
        ("pair_flow", "dis-medium", False),
        ("step_flow", "raft-small", True),
        ("predictions", "dis-medium", True),
        ("motion", "raft-small", False),
    ],
)
def test_which_stages_load_a_network(stage, provider, network):
    config = with_overrides(Config(), {"flow.provider": provider})
    assert wants_actors(stage, config, with_gpus=False) is network
    assert wants_actors(stage, config, with_gpus=True) is network


def test_the_crf_of_labels_runs_on_gpus_only_where_there_are_some():
    assert wants_actors("ir_labels", Config(), with_gpus=True)
    assert not wants_actors("ir_labels", Config(), with_gpus=False)


@pytest.mark.slow
@pytest.mark.ray
def test_workers_stay_from_stage_to_stage(tmp_path):
    config = with_overrides(
        Config(), {"flow.provider": "dis-ultrafast", "data.synthetic_videos": 4}
    )
    data, store = load_dataset(config.data), Store(tmp_path)
    seen: list[set[int]] = []

    with start_ray(num_cpus=2):
        for target in ("frames", "flow", "motion"):
            keys, _ = Materialiser(store, ray_data_runner()).ensure(config, data, [target])
            seen.append(_ray_processes())
    manifest = store.manifest("motion", keys["motion"])
    assert manifest is not None
    assert set(manifest.items) == {video.id for video in data.videos}
    assert seen[0]
    assert seen[0] == seen[1] == seen[2]


def _ray_processes() -> set[int]:
    found: set[int] = set()
    for process in psutil.Process().children(recursive=True):
        try:
            if any(part.startswith("ray::") for part in process.cmdline()):
                found.add(process.pid)
        except psutil.Error:
            continue
    return found
