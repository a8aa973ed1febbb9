"""An engine's description of its options: what it refuses, what it makes of values, and the add-on's file of it."""

import json

import pytest

from backend.errors import BackendError
from backend.options import Choice, Option, check_options, device_option, pictures_option
from backend.registry import Engines
from tools.describe_engines import FILE, described

WORDS = (Choice("low", "Low"), Choice("high", "High"))
OPTIONS = (
    Option("steps", "int", 12, "Steps", low=1, high=200),
    Option("guidance", "float", None, "Guidance", low=0, high=30, initial=7.5),
    Option("memory", "enum", "low", "Memory", choices=WORDS),
    Option("mask", "bool", False, "Mask"),
    Option("note", "str", "", "Note"),
    Option("own_seed", "seed", label="Seed"),
    device_option(),
    pictures_option(3),
)


def test_what_is_not_given_has_its_default_and_what_is_given_its_type():
    checked = check_options("Toy", OPTIONS, {"steps": 20.0, "guidance": 3, "device": "cuda:1", "mask": None})
    assert checked.pop("pictures") == []
    assert checked == {"steps": 20, "guidance": 3.0, "memory": "low", "mask": False, "note": "", "device": "cuda:1"}
    assert type(checked["steps"]) is int and type(checked["guidance"]) is float
    assert check_options("Toy", OPTIONS, checked) | {"pictures": []} == checked | {"pictures": []}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"steps": 0}, "bad_params"),
        ({"steps": 2.5}, "bad_params"),
        ({"steps": True}, "bad_params"),
        ({"guidance": float("nan")}, "bad_params"),
        ({"guidance": "7"}, "bad_params"),
        ({"memory": "huge"}, "bad_params"),
        ({"memory": ["low"]}, "bad_params"),
        ({"mask": 1}, "bad_params"),
        ({"note": 1}, "bad_params"),
        ({"pictures": ["side.png"]}, "bad_params"),
        ({"pictures": ["/a.png"] * 3}, "bad_params"),
        ({"device": "toaster"}, "unknown_device"),
        ({"own_seed": 1}, "bad_params"),  # the request has it
        ({"wings": 2}, "bad_params"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_says_what_it_must_be(given, code):
    with pytest.raises(BackendError) as caught:
        check_options("Toy", OPTIONS, given)
    assert caught.value.code == code and caught.value.message.endswith(".") and caught.value.hint
    assert next(iter(given)) in caught.value.message


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "integer"},
        {"name": "Not a name"},
        {"name": "class"},  # no property can have it
        {"label": ""},
        {"low": None},
        {"low": 5, "high": 4},
        {"default": 300},
        {"unit": "inch"},
        {"type": "enum"},  # without choices
    ],
)
def test_a_description_that_cannot_work_is_refused_where_it_is_written(wrong):
    with pytest.raises((ValueError, BackendError)):
        Option(**{"name": "steps", "type": "int", "default": 12, "label": "Steps", "low": 1, "high": 200, **wrong})


def test_the_add_on_has_the_description_of_today():
    assert json.loads(FILE.read_text(encoding="utf-8")) == json.loads(json.dumps(described())), (
        "an engine has changed: run python -m tools.describe_engines"
    )


def test_an_engine_with_a_broken_description_is_listed_with_the_reason(monkeypatch):
    class Broken:
        label = "Broken"
        options = ({"name": "steps"},)

        def generate(self, request, progress): ...

    engines = Engines("generators")
    monkeypatch.setattr(engines._entry_points["preview"].__class__, "load", lambda self: Broken)
    row = next(row for row in engines.describe() if row["name"] == "preview")
    assert not row["available"] and "options" in row["reason"] and row["options"] == []
