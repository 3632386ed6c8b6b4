"""Values on the command line that argparse has no type for."""

from __future__ import annotations

from argparse import ArgumentTypeError

LAST_PORT = 65_535


def words(text: str) -> tuple[str, ...]:
    """Comma-separated words, without what is empty."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def limit(text: str) -> int:
    """A positive number of instances; 0 stands for all."""
    if text == "all":
        return 0
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise ArgumentTypeError(f"{text!r}: give a positive number of instances, or 'all'")
    return value


def port(text: str) -> int:
    """A port to serve on."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LAST_PORT:
        raise ArgumentTypeError(f"{text!r}: give a number from 1 to {LAST_PORT}")
    return int(text)
