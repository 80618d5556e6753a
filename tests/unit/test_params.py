"""Parameters of plugins: what a declaration says, what is taken, and what a refusal tells the user."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegd.errors import ParamError
from eegd.params import (
    ALL_CHANNELS,
    Param,
    assign_params,
    check_params,
    declared_params,
    describe_params,
    parse_words,
    resolve_channels,
)


class Demo:
    """One parameter of every kind."""

    name = "demo"

    low = Param(1.0, min=0.1, max=100, unit="Hz", doc="Lower edge")
    order = Param(4, min=1, max=8, doc="Order")
    relative = Param(False, doc="Share instead of power")
    shape = Param("hann", choices=("hann", "hamming"), doc="Window")
    mains = Param(50, choices=(50, 60), unit="Hz", doc="Mains")
    where = Param[Any](ALL_CHANNELS, kind="channels", doc="Channels")
    edges = Param((1.0, 4.0, 8.0), min=0, unit="Hz", doc="Edges")
    counts = Param((1, 2), min=0, doc="Counts")


class Needy:
    name = "needy"

    high: Param[float] = Param(min=1, unit="Hz", doc="Must be given")


def test_a_parameter_is_its_default_until_it_is_set() -> None:
    demo = Demo()
    assert (demo.low, demo.order, demo.relative, demo.shape, demo.edges) == (1.0, 4, False, "hann", (1.0, 4.0, 8.0))


def test_a_parameter_read_on_the_class_is_its_declaration() -> None:
    assert isinstance(Demo.low, Param)
    assert Demo.low.unit == "Hz"


def test_values_belong_to_one_instance() -> None:
    one, other = Demo(), Demo()
    assert assign_params(one, check_params(Demo, {"low": 3})) == ("low",)
    assert (one.low, other.low) == (3.0, 1.0)


def test_assigning_names_only_what_changed() -> None:
    assert assign_params(Demo(), {"low": 1.0, "order": 5}) == ("order",)


def test_a_plugin_cannot_overwrite_its_parameter() -> None:
    with pytest.raises(AttributeError, match="low is a parameter"):
        Demo().low = 2.0


def test_parameters_keep_the_order_in_which_they_are_written() -> None:
    assert list(declared_params(Demo)) == ["low", "order", "relative", "shape", "mains", "where", "edges", "counts"]


def test_a_subclass_inherits_overrides_and_removes_parameters() -> None:
    class Narrow(Demo):
        low = Param(2.0, max=5)
        order = None  # type: ignore[assignment]

    declared = declared_params(Narrow)
    assert declared["low"].default == 2.0
    assert "order" not in declared
    assert "edges" in declared


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"low": 2}, 2.0),
        ({"low": "2.5"}, 2.5),
        ({"order": 3.0}, 3),
        ({"order": "3"}, 3),
        ({"relative": True}, True),
        ({"relative": "yes"}, True),
        ({"relative": "off"}, False),
        ({"shape": "hamming"}, "hamming"),
        ({"mains": 60}, 60),
        ({"mains": "60"}, 60),
        ({"where": "all"}, "all"),
        ({"where": ["Oz", "O1"]}, ("Oz", "O1")),
        ({"where": "Oz,O1"}, ("Oz", "O1")),
        ({"edges": [1, 2]}, (1.0, 2.0)),
        ({"edges": "1, 2.5"}, (1.0, 2.5)),
        ({"counts": [3]}, (3,)),
    ],
)
def test_values_and_texts_become_what_the_plugin_sees(values: dict[str, object], expected: object) -> None:
    (value,) = check_params(Demo, values).values()
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"low": 0.05}, "demo: low = 0.05: a number from 0.1 to 100 Hz"),
        ({"low": math.nan}, "demo: low = nan: a number from 0.1 to 100 Hz"),
        ({"low": math.inf}, "demo: low = inf: a number from 0.1 to 100 Hz"),
        ({"edges": [10**400]}, f"demo: edges = {'[1' + '0' * 58}: a list, each item a number, at least 0 Hz"),
        ({"low": "fast"}, "demo: low = 'fast': a number from 0.1 to 100 Hz"),
        ({"low": True}, "demo: low = True: a number from 0.1 to 100 Hz"),
        ({"low": None}, "demo: low = None: a number from 0.1 to 100 Hz"),
        ({"order": 2.5}, "demo: order = 2.5: a whole number from 1 to 8"),
        ({"relative": 1}, "demo: relative = 1: true or false"),
        ({"relative": "maybe"}, "demo: relative = 'maybe': true or false"),
        ({"shape": "kaiser"}, "demo: shape = 'kaiser': one of hann, hamming"),
        ({"mains": 50.0}, "demo: mains = 50.0: one of 50, 60 Hz"),
        ({"mains": "55"}, "demo: mains = '55': one of 50, 60 Hz"),
        ({"where": []}, "demo: where = []: 'all', or a list of channel labels"),
        ({"where": ["Oz", "Oz"]}, "demo: where = ['Oz', 'Oz']: 'all', or a list of channel labels"),
        ({"edges": [1, -1]}, "demo: edges = [1, -1]: a list, each item a number, at least 0 Hz"),
        ({"edges": 3}, "demo: edges = 3: a list, each item a number, at least 0 Hz"),
        ({"counts": [1.5]}, "demo: counts = [1.5]: a list, each item a whole number, at least 0"),
        (
            {"lwo": 1},
            "demo: no parameter 'lwo' (did you mean low?); there are: low, order, relative, shape, mains, where, "
            "edges, counts",
        ),
    ],
)
def test_a_refusal_names_plugin_parameter_value_and_what_is_allowed(values: dict[str, object], text: str) -> None:
    with pytest.raises(ParamError) as refused:
        check_params(Demo, values)
    assert str(refused.value) == text


def test_a_parameter_without_a_default_must_be_given() -> None:
    with pytest.raises(ParamError, match=r"^needy: high must be given: a number, at least 1 Hz$"):
        check_params(Needy, {})
    assert check_params(Needy, {"high": 40}) == {"high": 40.0}
    assert check_params(Needy, {}, partial=True) == {}


def test_a_default_out_of_its_own_range_is_refused_where_it_is_written() -> None:
    with pytest.raises((TypeError, RuntimeError)) as refused:

        class Wrong:
            low = Param(5.0, max=1)

    causes = f"{refused.value} {refused.value.__cause__}"
    assert "default of Wrong.low = 5.0: a number, at most 1" in causes


@pytest.mark.parametrize(
    "declare", [lambda: Param(None), lambda: Param(1.0, kind="colour"), lambda: Param(kind="choice")]
)
def test_a_declaration_that_says_no_kind_is_refused(declare: Any) -> None:
    with pytest.raises(TypeError):
        declare()


def test_a_channel_selection_becomes_labels_at_the_start() -> None:
    demo = Demo()
    resolve_channels(demo, ("Oz", "O1"))
    assert demo.where == ("Oz", "O1")
    assign_params(demo, {"where": ("O1",)})
    resolve_channels(demo, ("Oz", "O1"))
    assert demo.where == ("O1",)


def test_all_channels_means_the_channels_of_each_new_input() -> None:
    demo = Demo()
    resolve_channels(demo, ("Oz", "O1"))
    resolve_channels(demo, ("Cz",))
    assert demo.where == ("Cz",)


def test_an_unknown_channel_is_refused_with_those_there_are() -> None:
    demo = Demo()
    assign_params(demo, {"where": ("Oz", "Pz")})
    with pytest.raises(ParamError, match="demo: where: no channel Pz; the input has Oz, O1"):
        resolve_channels(demo, ("Oz", "O1"))


def test_metadata_come_from_the_class_as_plain_types() -> None:
    low, *_, mains, where, _edges, counts = describe_params(Demo)
    assert low == {
        "name": "low",
        "kind": "float",
        "required": False,
        "default": 1.0,
        "min": 0.1,
        "max": 100,
        "unit": "Hz",
        "doc": "Lower edge",
    }
    assert mains["choices"] == [50, 60]
    assert where["kind"] == "channels"
    assert counts["default"] == [1, 2]


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.floats())))
def test_any_value_is_taken_within_its_range_or_refused(value: object) -> None:
    for name, param in declared_params(Demo).items():
        try:
            taken = check_params(Demo, {name: value})[name]
        except ParamError as error:
            assert str(error).startswith(f"demo: {name} = ")
            continue
        assert param.check(taken) == taken


# ---- as words ----


class Ordered(Demo):
    name = "ordered"
    positional = ("low", "order")

    high: Param[float] = Param(min=1, max=500, unit="Hz", doc="Must be given")


class Silent:
    name = "silent"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["1", "3", "high=45"], {"low": 1.0, "order": 3, "high": 45.0}),
        (["high:45", "1"], {"low": 1.0, "high": 45.0}),
        (["low:1", "3", "high=45"], {"low": 1.0, "order": 3, "high": 45.0}),
        (["order=2", "7", "high=45"], {"low": 7.0, "order": 2, "high": 45.0}),
        (["high=45", "where=Oz,O1", "edges:1,2"], {"high": 45.0, "where": ("Oz", "O1"), "edges": (1.0, 2.0)}),
        (["high=45", "where=EEG:Oz"], {"high": 45.0, "where": ("EEG:Oz",)}),
    ],
)
def test_words_are_named_placed_or_mixed(words: list[str], expected: dict[str, object]) -> None:
    assert parse_words(Ordered, words) == expected


@pytest.mark.parametrize(
    ("plugin", "words", "text"),
    [
        (Ordered, ["1", "high=x"], "ordered: high = 'x': a number from 1 to 500 Hz"),
        (Ordered, ["900", "high=45"], "ordered: low = 900: a number from 0.1 to 100 Hz"),
        (Ordered, ["1"], "ordered: high must be given: a number from 1 to 500 Hz"),
        (Ordered, ["1", "low:2", "high=45"], "ordered: 'low:2': low is given twice, also by '1'"),
        (Ordered, ["lwo=1", "high=45"], "ordered: no parameter 'lwo' (did you mean low?); there are: low, order, "),
        (
            Ordered,
            ["1", "2", "45"],
            "ordered: '45': a value needs the name of its parameter (only low, order may go without), "
            "as in relative=45; there are: low, order, ",
        ),
        (Ordered, ["where=O1,", "O2"], "ordered: 'where=O1,': a list is one word; did you mean where=O1,O2?"),
        (
            Needy,
            ["input=raw"],
            "needy: no parameter 'input'; there are: high; what a plugin reads is chosen as it is started, not while ",
        ),
        (Needy, ["45"], "needy: '45': a value needs the name of its parameter (none may go without), as in high=45; "),
        (Silent, ["45"], "silent: '45': it has no parameters"),
        (Ordered, ["mains", "50"], "ordered: 'mains': name and value are one word; did you mean mains=50?"),
        (Ordered, ["mains=", "50"], "ordered: 'mains=': name and value are one word; did you mean mains=50?"),
        (
            Ordered,
            ["high=45", "mains", "=", "50"],
            "ordered: 'mains': name and value are one word; did you mean mains=50?",
        ),
        (Ordered, ["mains"], "ordered: 'mains': without a value; mains takes one of 50, 60 Hz, as in mains=…"),
        (
            Ordered,
            ["shape=hanm"],
            "ordered: shape = 'hanm' (did you mean hann?): one of hann, hamming; high must be given",
        ),
        (
            Ordered,
            ["order=99", "mains=55"],
            "ordered: order = 99: a whole number from 1 to 8; mains = '55': one of 50, 60 Hz;",
        ),
    ],
)
def test_words_that_mean_nothing_are_refused_with_plugin_word_and_what_is_allowed(
    plugin: type, words: list[str], text: str
) -> None:
    with pytest.raises(ParamError) as refused:
        parse_words(plugin, words)
    assert str(refused.value).startswith(text)


class Labelled(Silent):
    name = "labelled"
    positional = ("label", "low")

    low = Param(1.0)
    label = Param("", max=20, doc="What it says")
    line: Param[str] = Param(kind="text", min=1)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["eyes closed", "line=a"], {"label": "eyes closed", "line": "a"}),
        (["label=a=b: c", "line=x:y=z"], {"label": "a=b: c", "line": "x:y=z"}),
        (["label:=", "2", "line: 17"], {"label": "=", "low": 2.0, "line": " 17"}),
        (["a=b", "2", "line=17"], {"label": "a=b", "low": 2.0, "line": "17"}),
        (["http://x", "line=on"], {"label": "http://x", "line": "on"}),
        (["low=3", "12:30 = now", "line=1"], {"label": "12:30 = now", "low": 3.0, "line": "1"}),
        (["label=", "line=Ä µ 脳"], {"label": "", "line": "Ä µ 脳"}),
    ],
)
def test_a_text_may_hold_what_separates_names_and_words(words: list[str], expected: dict[str, object]) -> None:
    assert parse_words(Labelled, words) == expected


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["lable=x", "line=1"], "labelled: no parameter 'lable' (did you mean label?); there are: low, label, line"),
        (["x", "color=y", "line=1"], "labelled: no parameter 'color'; there are: low, label, line"),
        (["line="], "labelled: 'line=': without a value; line takes a text from 1 to 200 characters, none of them a"),
        (["line=", "x"], "labelled: 'line=': name and value are one word; did you mean line=x?"),
        (["label=" + 21 * "x"], f"labelled: label = '{21 * 'x'}': a text of up to 20 characters, none"),
        (["label=a\nb"], "labelled: label = 'a\\nb': a text of up to 20"),
        (["label=\x1b[31m"], "labelled: label = '\\x1b[31m': a text"),
        (["label=\u202eabc"], "labelled: label = '\\u202eabc': a text"),
        (["label=\udc80"], "labelled: label = '\\udc80': a text"),
    ],
)
def test_a_text_that_cannot_be_shown_as_one_line_is_refused(words: list[str], text: str) -> None:
    with pytest.raises(ParamError) as refused:
        parse_words(Labelled, words)
    assert str(refused.value).startswith(text)


@pytest.mark.parametrize("value", [10**400, 1.5, True, None, ["a"]])
def test_what_is_no_text_is_refused_but_a_whole_number_is_its_digits(value: object) -> None:
    assert check_params(Labelled, {"label": -17}, partial=True) == {"label": "-17"}
    with pytest.raises(ParamError, match=r"^labelled: label = .*: a text of up to 20 characters"):
        check_params(Labelled, {"label": value}, partial=True)


@given(st.text(max_size=30))
def test_any_text_is_taken_as_it_is_or_refused(value: str) -> None:
    try:
        (taken,) = check_params(Labelled, {"label": value}, partial=True).values()
    except ParamError:
        assert len(value) > 20 or not value.isprintable()
    else:
        assert taken == value
        json.dumps(taken).encode()
        assert parse_words(Labelled, [f"label={value}"], partial=True) == {"label": value}


def test_the_kind_and_length_of_a_text_are_told() -> None:
    facts = {str(row["name"]): row for row in describe_params(Labelled)}
    assert (facts["label"]["kind"], facts["label"]["default"], facts["label"]["max"]) == ("text", "", 20)
    assert (facts["line"]["kind"], facts["line"]["required"], facts["line"]["max"]) == ("text", True, 200)


def test_too_many_values_are_refused_where_all_may_go_without_a_name() -> None:
    class Two(Silent):
        positional = ("low",)
        low = Param(1.0)

    with pytest.raises(ParamError, match=r"^silent: '2': one value too many; it takes low$"):
        parse_words(Two, ["1", "2"])


def test_a_value_that_is_named_like_a_parameter_is_a_value() -> None:
    class Labels(Silent):
        positional = ("where",)
        where = Param[Any](ALL_CHANNELS, kind="channels")
        low = Param(1.0)

    assert parse_words(Labels, ["low", "low=2"]) == {"where": ("low",), "low": 2.0}


def test_a_refusal_has_what_is_wrong_by_parameter() -> None:
    with pytest.raises(ParamError) as refused:
        check_params(Needy, {"lwo": 1})
    assert refused.value.problems == {
        "lwo": "no parameter 'lwo'; there are: high",
        "high": "high must be given: a number, at least 1 Hz",
    }


def test_part_of_the_words_will_do_for_a_change() -> None:
    assert parse_words(Ordered, ["2"], partial=True) == {"low": 2.0}


@given(st.permutations(["low=2", "order:3", "high=45"]))
def test_the_order_of_named_words_is_free(words: list[str]) -> None:
    assert parse_words(Ordered, words) == {"low": 2.0, "order": 3, "high": 45.0}
