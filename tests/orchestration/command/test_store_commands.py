"""``wsvis store retry`` clears what was recorded, prints it, and leaves results alone."""

import pytest

from wsvis.errors import InputError
from wsvis.payload import Payload
from wsvis_platform.command.store import cleared_reasons, store_retry
from wsvis_platform.store.leases import lease
from wsvis_platform.store.manifest import DIED
from wsvis_platform.store.store import Store

KEY = "0123456789abcdef"


@pytest.fixture
def output(tmp_path):
    store = Store(tmp_path / "store")
    for stage in ("frames", "flow"):
        store.staged(stage, KEY)
        store.stage_item(stage, KEY, "v1", Payload())
        for video in ("v2", "v3"):
            store.quarantine(stage, KEY, video, f"{video}: died in {stage}", DIED)
        if stage == "frames":  # the other is in progress
            store.commit(stage, KEY, {"omitted": []}, 0.0)
    return tmp_path


def test_every_reason_is_cleared_and_printed_and_results_stay(output, capsys):
    store_retry(output=str(output))
    said = capsys.readouterr().out
    assert said.count("died in frames") == said.count("died in flow") == 2
    assert "4 reasons cleared" in said
    store = Store(output / "store")
    assert store.manifest("frames", KEY) is None
    for stage in ("frames", "flow"):
        assert store.staging(stage, KEY).reasons() == {}
        assert store.staged(stage, KEY) == {"v1"}
    store_retry(output=str(output))
    assert "nothing to clear" in capsys.readouterr().out


def test_only_what_was_asked_for_is_cleared(output, capsys):
    store_retry(output=str(output), stage="frames", video="v2")
    assert capsys.readouterr().out.splitlines() == [
        "frames [01234567] v2: v2: died in frames",
        "1 reason cleared; run the same command again",
    ]
    store = Store(output / "store")
    assert set(store.staging("frames", KEY).reasons()) == {"v3"}
    assert set(store.staging("flow", KEY).reasons()) == {"v2", "v3"}


def test_an_entry_that_is_being_computed_is_left_alone(output):
    store = Store(output / "store")
    with lease(store, KEY):
        assert cleared_reasons(Store(output / "store"), "frames", KEY) is None
    assert store.manifest("frames", KEY) is not None


def test_what_does_not_exist_is_one_line(output):
    with pytest.raises(InputError, match="there is no store"):
        store_retry(output=str(output / "absent"))
    with pytest.raises(InputError, match="did you mean 'flow'"):
        store_retry(output=str(output), stage="flwo")
