"""What answers look like: the keys they must have, no others, and the types of their values."""
import datetime
import re

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def text(value):
    return isinstance(value, str) and value != ""


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def integer(value):
    return isinstance(value, int) and not isinstance(value, bool)


def truth(value):
    return isinstance(value, bool)


def time(value):
    return text(value) and value.endswith("Z") and bool(datetime.datetime.fromisoformat(value[:-1]))


def link(value):
    return text(value) and value.startswith("http")


def uuid(value):
    return text(value) and bool(UUID.fullmatch(value))


def null(value):
    return value is None


def nullable(kind):
    return lambda value: value is None or kind(value)


def one_of(*values):
    return lambda value: value in values


def matching(pattern):
    return lambda value: text(value) and bool(re.fullmatch(pattern, value))


def list_of(kind):
    return lambda value: isinstance(value, list) and all(kind(item) for item in value)


def shape(**keys):
    """A check for an object inside another one."""

    def check(value):
        assert_shape(value, keys)
        return True

    return check


def assert_shape(value, keys, **exactly):
    """keys: name -> check; exactly: values that are known."""
    assert isinstance(value, dict), value
    assert set(value) == set(keys), f"missing {set(keys) - set(value)}, too many {set(value) - set(keys)}: {value}"
    for name, check in keys.items():
        assert check(value[name]), f"{name} is {value[name]!r} in {value}"
    for name, wanted in exactly.items():
        assert value[name] == wanted, f"{name} is {value[name]!r}, not {wanted!r}: {value}"
