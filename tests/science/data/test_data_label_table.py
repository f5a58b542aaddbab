"""Tables of labels: a line that would lose a label is named by its number."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvis.data.label_table import read_label_table, whole_number
from wsvis.data.outside import refuse
from wsvis.errors import InputError

COLUMNS = ("video", "class")


def table(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return str(path)


def rows(path, columns=COLUMNS):
    problems: list[str] = []
    found = read_label_table(path, columns, problems.append)
    return [(line, *(row[name] for name in columns)) for line, row in found], problems


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_any_order_of_columns_quotes_and_line_ends(tmp_path, encoding):
    text = 'Class , VIDEO,remark\r\n "dog, big", a.mp4 ,x\r\n\r\ncröss,"b.mp4"\rcat,c.mp4,\n'
    found, problems = rows(table(tmp_path, text, encoding))
    assert found == [(2, "a.mp4", "dog, big"), (4, "b.mp4", "cröss"), (5, "c.mp4", "cat")]
    assert problems == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a.mp4,dog,cat", "has 3 fields for 2 columns; give each class a line"),
        ("a.mp4,dog, big", "has 3 fields for 2 columns"),
        ('a.mp4,"dog', "a quote is opened and not closed"),
        ('"a.mp4,dog', "a quote is opened and not closed"),
        ('a.mp4,"dog" big', "expected after"),
        ("a.mp4," + "x" * 200_000, "field larger than field limit"),
    ],
)
def test_a_line_that_loses_something_is_named_and_the_others_are_kept(tmp_path, line, reason):
    path = table(tmp_path, f'video,class\nb.mp4,cat\n{line}\nc.mp4,"cow"\n')
    found, problems = rows(path)
    assert found == [(2, "b.mp4", "cat"), (4, "c.mp4", "cow")]
    assert len(problems) == 1
    assert problems[0].startswith(f"{path}: line 3: ")
    assert reason in problems[0]
    with pytest.raises(InputError, match="line 3: "):
        read_label_table(path, COLUMNS, refuse)


def test_empty_surplus_fields_lose_nothing(tmp_path):
    assert rows(table(tmp_path, "video,class\na.mp4,dog,, ,\n")) == ([(2, "a.mp4", "dog")], [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no column video, class; its first line must be video,class"),
        ("video\na.mp4\n", "has no column class"),
        ("video,class,class\na.mp4,dog,cat\n", "has the column class twice"),
        ("video;class\na.mp4;dog\n", "separated by semicolons; save it with commas"),
        ("video\tclass\na.mp4\tdog\n", "separated by tabs; save it with commas"),
        ('video,"class\na.mp4,dog\n', "line 1: "),
    ],
)
def test_a_wrong_first_line_is_one_line(tmp_path, text, reason):
    with pytest.raises(InputError, match=reason):
        rows(table(tmp_path, text))


def test_another_encoding_and_an_absent_file(tmp_path):
    with pytest.raises(InputError, match=r"is not UTF-8 text \(line 2, byte 20\)"):
        rows(table(tmp_path, "video,class\na.mp4,cröss\n", "latin-1"))
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(InputError, match="no such file; write it with the columns video,class"):
        rows(str(tmp_path / "labels.csv"))


def test_whole_numbers():
    assert [whole_number(text) for text in ("0", "007", "12")] == [0, 7, 12]
    for text in ("", "-1", "1.5", "²", "9" * 5000, " 1"):
        assert whole_number(text) is None


@settings(deadline=None)
@given(st.text(alphabet='ab,";\n\r\t\0 \u2028', max_size=60))
def test_every_label_is_kept_or_its_line_named(tmp_path_factory, text):
    path = table(tmp_path_factory.getbasetemp(), f"video,class\n{text}")
    found, problems = rows(path)
    named = {line for line, *_ in found} | {
        int(p.split("line ")[1].split(":")[0]) for p in problems
    }
    lines = re.split(r"\r\n|\r|\n", text)
    for number, line in enumerate(lines, start=2):
        assert number in named or not re.sub(r'[,"\s]', "", line)
