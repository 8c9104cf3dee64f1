#!/usr/bin/env python3
"""docs/resources.md says what event/subject.c and event/subject_wants.c do, row by row and back."""

import os
import re
import sys

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, ROOT)

from tests.api import resources  # noqa: E402
from tests.kit import cases  # noqa: E402


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def bare(text):
    return None if text == "NULL" else text.strip('"')


def read_wants():
    """Of each array of subject_wants.c its entries: (name, field, inner array)."""
    arrays = {}
    for array, body in re.findall(r"const struct json_want (\w+)\[\] =\s*\{(.*?)\};", read("event/subject_wants.c"), re.S):
        found = re.findall(r'(?:WANT|OUTER)\("(\w+)", (\w+)(?:, (\w+))?\)', body)
        arrays[array] = found
    return arrays


def read_rules():
    text = read("event/subject.c")
    services = dict(re.findall(r'SERVICE\("([^"]+)", (\w+)\)', text))
    rules = {}
    for array, body in re.findall(r"static const struct rule (\w+)\[\] = \{(.*?)\n\};", text, re.S):
        rules[array] = re.findall(r'\{(SUBJECT_\w+),\s*(NULL|"[^"]*"),\s*(NULL|"[^"]*")\}', body)
    return {(service, field, bare(call), bare(type_))
            for service, array in services.items() for field, call, type_ in rules[array]}


def names_of_fields(arrays):
    names = {}
    for entries in arrays.values():
        for name, field, _ in entries:
            names.setdefault(field, set()).add(name)
    return names


def test_the_table():
    names = names_of_fields(read_wants())
    coded = {(service, frozenset(names[field]), call, type_) for service, field, call, type_ in read_rules()}
    told = {(service, frozenset(members), call, type_)
            for service, members, calls, type_ in resources.Page().rows for call in calls or [None]}
    assert len(coded) > 200, len(coded)
    assert coded == told, (coded - told, told - coded)


def test_where_members_count():
    arrays, page = read_wants(), resources.Page()
    top = arrays["subject_wants"]
    used = {field for _, field, _, _ in read_rules()}
    assert page.structures == {name for name, _, inner in top if inner == "of_wrapped"}
    assert page.lists == {name for name, _, inner in top if inner == "of_items"}
    texts = {name for name, field, inner in top if inner not in ("", "of_wrapped", "of_items") and field in used}
    assert page.texts == texts, page.texts ^ texts
    assert page.nested | {"items"} == {name for name, _, inner in arrays["of_wrapped"] if inner}
    for array in ("of_leaf", "of_wrapped"):
        assert page.members == {name for name, _, inner in arrays[array] if not inner}, array


def test_ids_and_limit():
    text = read("event/subject.c")
    body = re.search(r"prefixes\[\]\[2\] = \{(.*?)\n\};", text, re.S).group(1)
    assert resources.Page().letters == re.findall(r'\{"([^"]+)",\s*"([^"]+)"\}', body)
    assert f"RECORD_SUBJECTS_MAX = {resources.SUBJECTS_MAX}" in read("event/record.h")


if __name__ == "__main__":
    cases.run("resources_test", globals())
