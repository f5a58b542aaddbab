"""JSON from outside: any encoding with a mark, nothing that is no JSON, bounded time and memory."""

from __future__ import annotations

import codecs
import json
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvis.errors import MAX_LINE, InputError
from wsvis.files.json_input import field_of, is_unicode, read_json
from wsvis.files.regular_file import open_regular, read_regular

CONTENT = {"name": "cröss 車", "numbers": [1, -2.5, None], "deep": {"a": [True]}}


def written(tmp_path, content: bytes):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: text.encode("utf-32"),
        lambda text: text.encode("utf-32-be"),
    ],
)
def test_encodings_that_tell_themselves_are_read(tmp_path, encode):
    text = json.dumps(CONTENT, ensure_ascii=False)
    assert read_json(written(tmp_path, encode(text))) == CONTENT
    assert read_json(written(tmp_path, encode(" \r\n" + text + "\n"))) == CONTENT
    assert read_json(written(tmp_path, encode(" " * 5000 + "[7]"))) == [7]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not JSON"),
        (b"  \n", "it is empty"),
        (b"{", "is not JSON"),
        (b"hello", "it begins with 'hello'"),
        (b"\0" * 9000, "is not JSON"),
        (b'{"a": NaN}', "it holds NaN, which is no number"),
        (b"[-Infinity]", "it holds -Infinity"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" + b"9" * 5000 + b"]", "a whole number of thousands of digits"),
        ('{"a": 1,\n "b": "cröss"}'.encode("latin-1"), r"is not UTF-8 text \(line 2, byte 18\)"),
        (codecs.BOM_UTF16_LE + b'{\0"\0a', "is not UTF-16 text"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 100, "is not JSON"),
        (b'"' + b"a" * 10_000_000, "is not JSON"),
    ],
)
def test_what_is_no_json_is_one_line(tmp_path, content, reason):
    path = written(tmp_path, content)
    with pytest.raises(InputError, match=reason) as error:
        read_json(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert len(message) <= MAX_LINE
    assert message.isprintable()


def test_a_huge_file_of_nothing_is_refused_at_once(tmp_path):
    path = tmp_path / "a.json"
    with open(path, "wb") as file:
        file.truncate(1 << 33)  # no block of it is on the disk
    begun = time.monotonic()
    with pytest.raises(InputError, match="is not JSON"):
        read_json(path)
    with pytest.raises(InputError, match=r"is larger than 16 KiB; check"):
        read_regular(path, 1 << 14)
    with open(path, "r+b") as file:
        file.write(b"[")
    with pytest.raises(InputError, match=r"is larger than 4 GiB; check"):
        read_json(path)
    assert time.monotonic() - begun < 5


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", "/dev/null"):
        with pytest.raises(InputError, match="is no regular file"):
            read_json(path)
    with pytest.raises(InputError, match="is a folder; give the path of a file"):
        read_json(tmp_path)
    with pytest.raises(InputError, match="there is no such file; check the path"):
        read_json(tmp_path / "none.json")
    with pytest.raises(InputError, match="the frame is gone"):
        open_regular(tmp_path / "none.json", "the frame is gone")
    for name in ("a\0b", "half \ud800", "x" * 5000):
        with pytest.raises(InputError) as error:
            open_regular(f"{tmp_path}/{name}")
        assert str(error.value).isprintable()
    (tmp_path / "link.json").symlink_to(written(tmp_path, b"[1]"))
    assert read_json(tmp_path / "link.json") == [1]


def test_a_field_has_its_kind_and_64_bits():
    record = {"a": 3, "b": True, "c": 1 << 63, "d": "x", "e": (1 << 63) - 1, "f": 2.0}
    assert [field_of(record, name, int) for name in "abcdefg"] == [
        *(3, None, None, None, (1 << 63) - 1, None, None)
    ]
    assert field_of(record, "d", str, "") == "x"
    assert field_of([1], "a", int, 9) == 9


def test_half_a_character_is_told():
    assert is_unicode("cröss 車 \U0001f600")
    assert not is_unicode("half \ud83d")


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_one_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    refused = ""
    try:
        json.dumps(read_json(path))
    except InputError as error:
        refused = str(error)
    assert not refused or refused.startswith(f"{path}: ")
    assert refused.isprintable()
