"""What an event is about, computed from docs/resources.md alone: nothing of orgtrail's code is used or asked."""

import os
import re

HERE = os.path.dirname(os.path.realpath(__file__))
PAGE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "docs/resources.md")
SUBJECTS_MAX = 64


def codes(text):
    return re.findall(r"`([^`]+)`", text)


class Page:
    """The page as data."""

    def __init__(self, path=PAGE):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        bullets = [" ".join(part.split()) for part in re.findall(r"(?ms)^- (.*?)(?=^- |^$)", text)]
        assert len(bullets) == 5, bullets
        structures, members, lists, nested, texts = bullets
        self.structures, self.members = set(codes(structures)), set(codes(members))
        self.lists = set(codes(lists)) - {"items"}
        self.nested, self.texts = set(codes(nested)), set(codes(texts))
        letters = codes(re.search(r"(?s)its first letters say which:\n(.*?)\n\n", text).group(1))
        self.letters = list(zip(letters[::2], letters[1::2]))
        self.rows = []
        for row in re.findall(r"(?m)^\| (`.*) \|$", text):
            service, names, calls, type_ = row.split(" | ")
            calls = None if calls == "any" else codes(calls)
            self.rows.append((codes(service)[0], codes(names), calls, codes(type_)[0] if "`" in type_ else None))
        assert len(self.rows) > 150, len(self.rows)

    def type_of(self, service, member, call, name):
        for row_service, names, calls, type_ in self.rows:
            if row_service != service or member not in names:
                continue
            if calls is not None and not any(fits(call, pattern) for pattern in calls):
                continue
            return type_ or next((found for begin, found in self.letters if name.startswith(begin)), None)
        return None

    def named(self, part):
        """(member, name) of one of the two parts, in its order."""
        for member, value in part.items():
            if isinstance(value, str):
                yield member, value
            elif isinstance(value, list) and member in self.texts:
                yield from ((member, text) for text in value if isinstance(text, str))
            elif isinstance(value, list) and member in self.lists:
                yield from self.inside_all(value)
            elif isinstance(value, dict) and member in self.structures:
                yield from self.inside(value, is_outer=True)

    def inside_all(self, elements):
        for element in elements:
            if isinstance(element, dict):
                yield from self.inside(element, is_outer=False)

    def inside(self, structure, is_outer):
        for member, value in structure.items():
            if isinstance(value, str) and member in self.members:
                yield member, value
            elif is_outer and member == "items" and isinstance(value, list):
                yield from self.inside_all(value)
            elif is_outer and member in self.nested and isinstance(value, dict):
                yield from self.inside(value, is_outer=False)


def fits(call, pattern):
    return call.startswith(pattern[:-1]) if pattern.endswith("*") else call == pattern


def short(name):
    return re.split("[/:]", name)[-1] if name and name.startswith("arn:") else None


def find(page, event):
    """(type, name) of each, in order, but those of its record's list."""
    is_role = event.source == "sts.amazonaws.com" and event.name.startswith("AssumeRole")
    if event.category != "Management" or (event.read_only == "true" and not is_role):
        return []
    service = event.source.removesuffix(".amazonaws.com")
    found = []
    # Both as they stand in the record: the one that comes first is told first.
    for part, value in event.record.items():
        if part not in ("requestParameters", "responseElements") or not isinstance(value, dict):
            continue
        for member, name in page.named(value):
            type_ = page.type_of(service, member, event.name, name) if name else None
            known = [(t, n) for t, n in event.resources + found if t == type_]
            if type_ and not any(name in (n, short(n)) for _, n in known) and len(found) < SUBJECTS_MAX:
                found.append((type_, name))
    return found
