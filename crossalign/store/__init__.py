"""The only reader and writer of the cache."""
