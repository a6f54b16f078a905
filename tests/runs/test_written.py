"""Numbers and YAML: one meaning wherever they stand, and no surprise in silence."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cktat.errors import CktatError
from cktat.runs import assignment, number, read_yaml, yaml_text
from cktat.runs.door import DEEPEST

NUMBERS = {
    "3": 3, "-3": -3, "+3": 3, "0": 0, "0.5": 0.5, ".5": 0.5, "5.": 5.0, "1e-1": 0.1, "1E3": 1000.0, "1.5e+2": 150.0,
    "1/2": 0.5, "8/255": 8 / 255, "-1/4": -0.25, "1e1/4": 2.5,
}  # fmt: skip

SURPRISES = {
    "010": "leading zero", "-007": "leading zero", "0x10": "decimal", "0o17": "decimal", "0b11": "decimal",
    "1:30": "base 60", "190:20:30": "base 60", "1_000": "underscores", "yes": "true or false", "No": "true or false",
    "on": "true or false", "OFF": "true or false", ".inf": "finite", "-.INF": "finite",
    ".nan": "finite", "2020-01-02": "no dates", "2001-12-14t21:59:43.10-05:00": "no dates",
}  # fmt: skip


@pytest.fixture
def written(tmp_path):
    """written(text): what `read_yaml` makes of a file with this text."""

    def read(text: str):
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return read_yaml(path)

    return read


@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_is_the_same_in_a_file_and_on_the_command_line(text, written) -> None:
    wanted = NUMBERS[text]
    found = [
        written(f"lr: {text}")["lr"],
        written(f"set: {{tau: {text}}}")["set"]["tau"],
        written(f"points:\n  - {text}")["points"][0],
        assignment(f"tau={text}")[1],
    ]
    assert found == [wanted] * 4 and {type(one) for one in found} == {type(wanted)}
    assert number("eps", text) == wanted


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63))
def test_what_python_prints_of_a_number_is_that_number(value) -> None:
    assert assignment(f"x={value!r}") == ("x", value) and number("x", repr(value)) == float(value)


@pytest.mark.parametrize("text", SURPRISES)
def test_what_yaml_takes_for_something_else_is_refused_with_the_reason(text, written, one_line) -> None:
    with one_line(rf"run\.yaml at line 2, column 8: .*{SURPRISES[text]}"):
        written(f"set:\n  tau: {text}")
    with one_line(SURPRISES[text]):
        assignment(f"tau={text}")
    assert written(f'design: "{text}"') == {"design": text}, "in quotes it is text"
    with one_line("eps must be a finite number"):
        number("eps", text if not text.lstrip("+-").isdigit() else f"{text}:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 3\nlr: 0.1\nepochs: 4", r"line 3, column 1: the key 'epochs' stands twice"),
        ("set: {tau: 3, tau: 3}", r"line 1, column 15: the key 'tau' stands twice"),
        ("3: a\n3: b", "the key 3 stands twice"),
        ("a: &x 3\nb: *x", "line 1, column 4: anchors and aliases"),
        ("a: !!binary aGk=", "the tag 'tag:yaml.org,2002:binary' is not read"),
        ("a: !!int '3'", "the tag .*int.* is not read"),
        ("a: !mine 3", "the tag '!mine' is not read"),
        ("? [1, 2]\n: 3", "a key must be a word"),
        ("a: 1\n---\nb: 2", "a second document begins"),
        ("a: " + "[" * 40 + "]" * 40, f"nested deeper than {DEEPEST} levels"),
        ("a: " + "[" * 5000, r"nested deeper|not valid YAML|has .* levels"),
        ("a: " + "1" * 100_000, "it has 100000 characters"),
        ("a: " + "x" * (2**20), "a configuration has 1,048,576 at most"),
    ],
)
def test_hostile_and_doubtful_files_are_refused_with_the_place(text, message, written, one_line) -> None:
    with one_line(rf"run\.yaml.*({message})"):
        written(text)


def test_a_bomb_of_aliases_is_refused_before_it_grows(written, one_line) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with one_line("anchors and aliases"):
        written("\n".join(lines))


@pytest.mark.parametrize(
    "text", ["trades", "file.py:net", "standard@0a1b2c3d", "a/b", "1/0", "1.2.3", "eight", "x: y", "[1"]
)
def test_other_words_are_text(text) -> None:
    assert assignment(f"teacher={text}") == ("teacher", text if text != "x: y" else {"x": "y"})


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "8/0", "1e308/1e-308", "", "eight", "1 2"])
def test_what_is_no_finite_number_is_none(text, one_line) -> None:
    with one_line("eps must be a finite number, or a fraction such as 8/255, not"):
        number("eps", text)


# 1e-1 is text for the library that writes, and a number here
WORDS = st.text(max_size=8).filter(lambda text: not set(text.strip()) <= set("0123456789.eE+-/ "))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(WORDS, PLAIN, max_size=4))
def test_what_a_yaml_library_writes_is_read_as_it_was_meant_or_refused(tmp_path_factory, fields) -> None:
    path = tmp_path_factory.getbasetemp() / "written.yaml"
    path.write_text(yaml.safe_dump(fields), encoding="utf-8")
    try:
        found = read_yaml(path)
    except CktatError as error:
        assert str(path) in str(error)
    else:
        assert found == fields


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
    | st.sampled_from([*NUMBERS, *SURPRISES, "", "~", "null", "true", "no", "a: b", "# c", "file.py:net"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=6,
)


@given(fields=st.dictionaries(st.text("abcde_", min_size=1, max_size=5), plain, min_size=1, max_size=4))
def test_what_is_written_as_yaml_is_read_back_as_it_was(fields, tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / "run.yaml"
    path.write_text(yaml_text(fields), encoding="utf-8")
    assert read_yaml(path) == fields
