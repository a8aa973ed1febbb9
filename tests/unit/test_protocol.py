"""The wire format: whatever arrives, the answer is a request or a clear error."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import backend.methods  # noqa: F401  # declares them
from backend.errors import BackendError
from backend.methods.registry import METHODS, find
from backend.protocol import LineSplitter, ProtocolError, encode, parse_request, plain

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.binary(max_size=30)))
def test_lines_do_not_depend_on_how_the_stream_is_cut(chunks):
    def split(pieces):
        splitter = LineSplitter(limit=20)
        return [line for piece in pieces for line in splitter.feed(piece)]

    whole = b"".join(chunks)
    assert split(chunks) == split([whole]) == [line if len(line) <= 20 else None for line in whole.split(b"\n")[:-1]]


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_request_or_a_protocol_error(line):
    try:
        request = parse_request(line)
    except ProtocolError as error:
        assert error.message.endswith(".")
    else:
        assert json.loads(line)["method"] == request.method


@pytest.mark.parametrize(
    ("line", "request_id"),
    [
        (None, None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
        (b'{"id": 1, "method": "rig", "params": {"seed": NaN}}', None),
        (b'{"id": 1, "method": "rig", "params": {"seed": 1e999}}', None),
        (b'{"id": ' + b"9" * 5000 + b', "method": "hello"}', None),
        (b'{"id": true, "method": "hello"}', None),
        (b'{"id": -1, "method": "hello"}', None),
        (b'{"method": "hello"}', None),
        (b'{"id": 5, "method": 3}', 5),
        (b'{"id": 5, "method": "hello", "params": []}', 5),
        (b'{"id": 5, "method": "hello", "parms": {}}', 5),
    ],
)
def test_bad_lines(line, request_id):
    with pytest.raises(ProtocolError) as caught:
        parse_request(line)
    assert caught.value.id == request_id


def test_missing_values_are_absent_never_nan():
    message = {
        "metrics": {"iou": np.float32(0.5), "unknown": math.nan},
        "point": [1.0, math.inf],
        "none": None,
        "mesh": Path("/a"),
        "n": np.int64(3),
    }
    assert json.loads(encode(message)) == {"metrics": {"iou": 0.5}, "none": None, "mesh": "/a", "n": 3}
    assert plain(np.array([[1, 2], [3, 4]])) == [[1, 2], [3, 4]]
    assert b"\n" not in encode({"text": "two\nlines, \ud800 and 日本"})[:-1]


@given(JSON)
def test_whatever_can_be_encoded_is_one_line_of_strict_json(value):
    line = encode({"value": value})
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    json.loads(line, parse_constant=pytest.fail)


@settings(max_examples=200)
@given(
    st.sampled_from([*METHODS, "fly"]),
    st.dictionaries(st.sampled_from(sorted({name for spec in METHODS.values() for name in spec.params} | {"x"})), JSON),
)
def test_bad_parameters_never_get_past_the_check(method, params):
    try:
        checked = find(method).checked(params)
    except BackendError as error:
        assert error.code in ("bad_params", "unknown_method", "unreadable")
        assert error.message.endswith(".") and error.hint
    else:
        assert checked.keys() == METHODS[method].params.keys()


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({}, "engine"),
        ({"engine": "preview", "picture": "a.png", "out_dir": "/o"}, "absolute"),
        ({"engine": "preview", "picture": "/nowhere/a.png", "out_dir": "/o"}, "does not exist"),
        ({"engine": "preview", "picture": "/", "out_dir": "/o"}, "not a file"),
        ({"engine": "preview", "picture": "/a\0b", "out_dir": "/o"}, "usable path"),
        ({"engine": "preview", "picture": f"/{'x' * 300}", "out_dir": "/o"}, "usable path"),
        ({"engine": "preview", "picture": __file__, "out_dir": "/o", "seed": -1}, "seed"),
        ({"engine": "preview", "picture": __file__, "out_dir": "/o", "seed": True}, "seed"),
        ({"engine": "preview", "picture": __file__, "out_dir": "/o", "sed": 1}, "no parameter 'sed'"),
        ({"engine": "preview", "picture": __file__, "out_dir": "/o", "options": []}, "options"),
        ({"engine": "preview", "picture": __file__, "out_dir": "/o", "markers": {"joint": {}}}, "joint"),
        ({"engine": "preview", "picture": __file__, "out_dir": "/o", "pictures": {"top": __file__}}, "'top'"),
        ({"engine": "preview", "picture": __file__, "out_dir": "/o", "pictures": {"left": "/no"}}, "does not exist"),
        (
            {"engine": "preview", "picture": __file__, "out_dir": "/o", "markers": {"joints": {"head": [1]}}},
            "2 numbers",
        ),
        ({"engine": "preview", "picture": __file__, "out_dir": "/o", "markers": {"face": {"nose": [1, 2]}}}, "nose"),
        (
            {
                "engine": "preview",
                "picture": __file__,
                "out_dir": "/o",
                "markers": {"face": {"mouth": {"center": [1, 2], "width": 0}}},
            },
            "positive",
        ),
    ],
)
def test_the_sentence_names_the_parameter(params, says):
    with pytest.raises(BackendError, match=says):
        find("generate").checked(params)


def test_defaults_are_filled_in():
    checked = find("generate").checked(
        {"engine": "preview", "picture": __file__, "out_dir": "/o", "markers": {"face": {"mouth": [3, 4]}}}
    )
    assert checked["seed"] == 0 and checked["markers"] == {"face": {"mouth": [3, 4]}}
    full = {
        "leftEye": {"center": [1.0, 2.0], "half_width": 3, "half_height": 1.5},
        "confidence": {"eyes": 0.2, "mouth": 1},
    }
    assert find("analyse").checked({"picture": __file__, "markers": {"face": full}})["markers"]["face"] == full
