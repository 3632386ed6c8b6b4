"""Bytes and seconds as people read them."""

from __future__ import annotations


def bytes_in_words(count: float | int) -> str:
    """A number of bytes, in the unit that gives it at most three digits.

    >>> bytes_in_words(980), bytes_in_words(1_234_000), bytes_in_words(16.1e9)
    ('980 bytes', '1.2 MB', '16 GB')
    """
    if count < 1000:
        return f"{count:.0f} bytes"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 999.5 or unit == "TB":
            break
    return f"{count:.1f} {unit}" if count < 9.95 else f"{count:,.0f} {unit}"


def seconds_in_words(seconds: float | int) -> str:
    """A duration, in its one or two largest units; at least a second.

    >>> seconds_in_words(0.4), seconds_in_words(59), seconds_in_words(61), seconds_in_words(7300), seconds_in_words(2e5)
    ('1 s', '59 s', '1 min 1 s', '2 h 1 min', '2 d 7 h')
    """
    whole = max(1, round(seconds))
    sizes = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    first = next(i for i, (_, size) in enumerate(sizes) if whole >= size)
    words = []
    for unit, size in sizes[first : first + 2]:
        count, whole = divmod(whole, size)
        words += [f"{count} {unit}"] if count else []
    return " ".join(words)
