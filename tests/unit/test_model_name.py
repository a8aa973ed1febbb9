"""The name that a model is promoted under."""

import pytest

from backend.errors import BackendError
from backend.promotion.names import model_name


@pytest.mark.parametrize(
    ("usual", "name"),
    [
        ("Momo", "momo"),
        ("Zoë B. (new)", "zoe-b-new"),
        ("桃", "avatar"),
        ("cat_2", "cat_2"),
        ("a - b", "a-b"),
        ("x" * 63 + "-y", "x" * 63),
    ],
)
def test_a_name_is_made_of_any_text_and_accepted_as_it_is(usual, name):
    assert model_name("", usual) == name == model_name(name)


@pytest.mark.parametrize("given", ["Has Spaces", "../up", "Momo", "-a", "x" * 65, "桃", "a/b"])
def test_a_name_that_cannot_be_part_of_an_address_is_refused_with_one_that_can(given):
    with pytest.raises(BackendError) as refused:
        model_name(given)
    assert refused.value.code == "bad_name"
    assert model_name(refused.value.hint.split("'")[1])
