"""What an expression asks for: the selectors in it."""

import re

STRING = re.compile(r'"(?:[^"\\]|\\.)*"' + r"|'(?:[^'\\]|\\.)*'")
# Lists of labels, which look like metrics otherwise.
LABEL_LIST = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")
SELECTOR = re.compile(r"(?<![\w:.$])([A-Za-z_:][\w:]*)\s*(\{[^{}]*\})?(?!\s*\(|[\w:])")
WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset", "inf", "nan"}


def selectors(expression):
    """Pairs of a metric's name and the selector that names it, in the order of their appearance."""
    strings = []

    def put_aside(match):
        strings.append(match[0])
        return f'"{len(strings) - 1}"'

    bare = STRING.sub(put_aside, expression)
    bare = LABEL_LIST.sub(" ", bare)
    # Durations, of ranges and offsets.
    bare = re.sub(r"\[[^\]]*\]|\boffset\s+\w+", " ", bare)
    found = []
    for name, labels in SELECTOR.findall(bare):
        if name.lower() not in WORDS:
            labels = re.sub(r'"(\d+)"', lambda match: strings[int(match[1])], labels)
            found.append((name, name + labels))
    return found
