"""Lines a user sees: one, printable, short, with the file and the cure."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from wsvis.errors import MAX_LINE, InputError, one_line, shown_value


def test_a_long_line_loses_its_middle():
    line = str(InputError(f"a.json: class {'x' * 5_000_000!r} is unknown; correct the name"))
    assert len(line) <= MAX_LINE - 20
    assert line.startswith("a.json: class 'xxx")
    assert line.endswith("xxx' is unknown; correct the name")
    assert " ... " in line


def test_breaks_and_control_characters_are_told_not_obeyed():
    assert one_line("a.csv: bad;\n  mend it\n") == "a.csv: bad; mend it"
    assert one_line("a\x1b[31mb\u2028c\udce9") == "a\\x1b[31mb c\\udce9"
    assert one_line("two  blanks and 車 stay") == "two  blanks and 車 stay"


def test_an_error_survives_pickling_and_nesting():
    inner = InputError("x" * 600)
    outer = InputError(f"a.json: {inner}")
    again = pickle.loads(pickle.dumps(outer))
    assert str(again) == str(outer)
    assert len(str(outer)) <= MAX_LINE


def test_values_are_shown_briefly():
    assert shown_value("dog") == "'dog'"
    assert shown_value(1.0) == "1.0"
    assert shown_value([40, 24]) == "[40, 24]"
    assert shown_value({"a": 1}) == "an object of 1 names"
    assert shown_value(10**5000).startswith("a whole number of 16610 bits")
    assert shown_value("x" * 10**7).startswith("'xxx")
    nested: list = []
    for _ in range(5000):
        nested = [nested]
    assert shown_value(nested) == "a list of 1 elements"


SIMPLE = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = SIMPLE | st.lists(SIMPLE, max_size=5) | st.dictionaries(st.text(), SIMPLE, max_size=2)


@given(VALUES, st.text())
def test_any_value_and_any_text_make_one_short_printable_line(value, text):
    for line in (shown_value(value), one_line(text), str(InputError(text * 50))):
        assert len(line) <= MAX_LINE
        assert line.isprintable()
        line.encode()
    assert len(shown_value(value)) <= 60
