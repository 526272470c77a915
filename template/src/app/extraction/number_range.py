"""The range of JSON numbers: that of a double, as other JSON parsers expect."""

import sys


def is_in_range(value: object) -> bool:
    """Return whether every number in a JSON value fits a double; Python's integers are unbounded."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as members:
                waiting.extend(members.values())
            case list() as items:
                waiting.extend(items)
            case int() | float() as number if abs(number) > sys.float_info.max:
                return False
    return True
