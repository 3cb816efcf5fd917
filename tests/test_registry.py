import pytest

from dreamvid.errors import UnknownNameError
from dreamvid.registry import Registry


@pytest.fixture
def fruits() -> Registry[int]:
    fruits: Registry[int] = Registry("fruit")
    fruits.register("apple")(1)
    fruits.register("pear")(2)
    return fruits


def test_a_thing_is_found_under_its_name(fruits: Registry[int]):
    assert fruits["apple"] == 1
    assert list(fruits) == ["apple", "pear"]


def test_an_unknown_name_is_answered_with_the_nearest(fruits: Registry[int]):
    with pytest.raises(UnknownNameError, match=r"unknown fruit 'appel'\. Did you mean 'apple'\?"):
        fruits["appel"]


def test_a_name_is_given_once(fruits: Registry[int]):
    with pytest.raises(ValueError, match="twice"):
        fruits.register("apple")(2)
