"""A store whose keys were made in another way says so once."""

from orchestration.store.test_store import complete
from wsvis.plan import SCHEME
from wsvis_platform.store.earlier import earlier_results
from wsvis_platform.store.store import Store


def test_a_new_store_has_nothing_to_say_and_keeps_its_mark(tmp_path):
    store = Store(tmp_path)
    assert earlier_results(store) == ""
    complete(store)
    assert earlier_results(store) == ""


def test_results_without_the_mark_are_named_once(tmp_path):
    store = Store(tmp_path)
    complete(store)
    note = earlier_results(store)
    assert str(tmp_path) in note
    assert "earlier version" in note
    assert "\n" not in note
    assert earlier_results(store) == ""


def test_another_scheme_is_an_earlier_one(tmp_path):
    store = Store(tmp_path)
    complete(store)
    (tmp_path / "keys").write_text("1\n")
    assert earlier_results(store)
    assert (tmp_path / "keys").read_text() == f"{SCHEME}\n"
