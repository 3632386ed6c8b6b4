"""Where a language model maps a language onto English, and for which instances that goes with being right."""

__version__ = "0.1.0"
