"""Names of files: what is data, what a list may name, in which order."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsvis.data.outside import frame_order, inside_folder, is_safe_relative, listed_names
from wsvis.errors import InputError


def test_hidden_companions_and_clutter_are_no_data(tmp_path):
    for name in ("._a.jpg", ".DS_Store", ".ipynb_checkpoints", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "__MACOSX").mkdir()
    for name in ("a10.jpg", "a9.jpg", "2024-05-01 12:30:00.jpg"):
        (tmp_path / name).write_bytes(b"")
    odd = os.fsdecode(b"caf\xe9.mp4")
    (tmp_path / odd).write_bytes(b"")
    assert listed_names(str(tmp_path)) == ["2024-05-01 12:30:00.jpg", "a9.jpg", "a10.jpg", odd]
    with pytest.raises(InputError, match="none: cannot be read"):
        listed_names(str(tmp_path / "none"))


@pytest.mark.parametrize("name", ["a.jpg", "clip/1.jpg", "12:30:00/1.jpg", "clip\\1.jpg", "a b"])
def test_names_inside(name):
    assert is_safe_relative(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        None,
        3,
        "/etc/a",
        "../a",
        "a/../../b",
        "a\\..\\b",
        "\\\\server\\a",
        "C:\\a",
        "C:/a",
        "\0",
    ],
)
def test_names_outside(name):
    assert not is_safe_relative(name)


def test_a_backslash_is_part_of_the_name_or_a_slash(tmp_path):
    (tmp_path / "a\\1.jpg").write_bytes(b"")
    assert inside_folder(str(tmp_path), "a\\1.jpg") == str(tmp_path / "a\\1.jpg")
    assert inside_folder(str(tmp_path), "b\\1.jpg") == str(tmp_path / "b" / "1.jpg")


@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_numbers_in_names_count_by_value(a, b):
    assert (frame_order(f"f{a}.jpg") < frame_order(f"f{b}.jpg")) == (a < b)
    assert frame_order("f" + "9" * 5000) < frame_order("f1" + "0" * 5000)
