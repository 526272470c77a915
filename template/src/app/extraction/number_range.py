"""The range of numbers: what a double holds, as other readers of JSON expect."""

import sys


def is_in_range(value: object) -> bool:
    """Tell whether every number of a JSON value is finite as a double; Python's integers know no bounds."""
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
