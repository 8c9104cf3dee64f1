"""What an answer is made of, without its values, and how two of them differ."""

from datetime import datetime


def shape_of(value):
    if isinstance(value, dict):
        return {name: shape_of(item) for name, item in value.items()}
    if isinstance(value, list):
        return join([shape_of(item) for item in value])
    if isinstance(value, datetime):
        return "time"
    return type(value).__name__


def join(shapes):
    """The shape of a list: what any of its items has."""
    if all(isinstance(shape, dict) for shape in shapes):
        return [{name: part for shape in shapes for name, part in shape.items()}] if shapes else []
    return shapes[:1]


def compare(left, right, place=""):
    """Lines that say what one has and the other has not; an empty list fits any list."""
    if isinstance(left, dict) and isinstance(right, dict):
        found = []
        for name in sorted(left.keys() | right.keys()):
            at = f"{place}.{name}" if place else name
            if name not in left:
                found.append(f"+{at}")
            elif name not in right:
                found.append(f"-{at}")
            else:
                found += compare(left[name], right[name], at)
        return found
    if isinstance(left, list) and isinstance(right, list):
        return compare(left[0], right[0], place + "[]") if left and right else []
    return [] if left == right else [f"{place}: {left} and {right}"]
