"""What a .proto file says that goes over the wire: of each message its fields and their numbers."""

import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TODAY = os.path.join(ROOT, "proto/orgtrail.proto")
PREVIOUS = os.path.join(ROOT, "tests/skew/previous.proto")


def read(path):
    """{message or enum: {text of the field without its number: number}}."""
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"//[^\n]*", "", file.read())
    found = {}
    for kind, name, body in re.findall(r"(?s)\b(message|enum)\s+(\w+)\s*\{((?:[^{}]|\{[^{}]*\})*)\}", text):
        fields = re.findall(r"(?:^|[;{}])\s*([\w.\s<>,]*?\w)\s*=\s*(\d+)\s*(?:\[[^\]]*\])?\s*(?=;)", body)
        found[f"{kind} {name}"] = {" ".join(field.split()): int(number) for field, number in fields}
    assert any(found.values()), f"{path} has no messages"
    return found
