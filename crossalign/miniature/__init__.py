"""The embedded default: original parallel texts in ten languages, and the model that `make run` starts with."""
