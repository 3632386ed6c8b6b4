"""Results that were computed elsewhere, as runs of the cache."""
