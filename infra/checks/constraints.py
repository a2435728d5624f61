"""Whether members are as a model constrains them: required members, types, lengths, ranges, patterns, enumerations.

botocore itself checks the first two, and the lower ends of lengths and ranges.
"""
import datetime
import functools

import regex

NUMBERS = {"integer": int, "long": int, "float": (int, float), "double": (int, float)}
TYPES = {
    "boolean": bool,
    "string": str,
    "blob": (bytes, str),
    "list": list,
    "map": dict,
    "structure": dict,
    "timestamp": (int, float, str, datetime.datetime),
    **NUMBERS,
}


def faults(shape, value, path=""):
    kind = shape.type_name
    at = path or "the request"
    if not isinstance(value, TYPES[kind]) or (kind in NUMBERS and isinstance(value, bool)):
        yield f"{at} is {value!r:.200}, not of type {kind}"
        return
    if kind == "structure":
        yield from _structure(shape, value, path)
    elif kind == "list":
        yield from _bounds(shape, len(value), f"{at} has {len(value)} items")
        for index, item in enumerate(value):
            yield from faults(shape.member, item, f"{path}[{index}]")
    elif kind == "map":
        yield from _bounds(shape, len(value), f"{at} has {len(value)} entries")
        for key, item in value.items():
            yield from faults(shape.key, key, f"{path} (key {key!r:.80})")
            yield from faults(shape.value, item, f"{path}.{key}")
    elif kind in NUMBERS:
        yield from _bounds(shape, value, f"{at} is {value}")
    elif kind == "blob":
        yield from _bounds(shape, len(value), f"{at} has {len(value)} bytes")
    elif kind == "string":
        yield from _text(shape, value, at)


def _structure(shape, value, path):
    if getattr(shape, "is_document_type", False):
        return
    for name in shape.required_members:
        if name not in value:
            yield f"{_join(path, name)} is missing"
    for name, item in value.items():
        yield from faults(shape.members[name], item, _join(path, name))


def _join(path, name):
    return f"{path}.{name}" if path else name


def _bounds(shape, size, what):
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and size < low) or (high is not None and size > high):
        yield f"{what}, beyond {'' if low is None else low}..{'' if high is None else high}"


def _text(shape, value, at):
    yield from _bounds(shape, len(value), f"{at} has {len(value)} characters")
    if shape.enum and value not in shape.enum:
        yield f"{at} is {value!r}, which is none of {', '.join(shape.enum)}"
    pattern = shape.metadata.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(value):
        yield f"{at} is {value!r:.200}, which does not match {pattern}"


@functools.cache
def _compiled(pattern):
    return regex.compile(pattern)
