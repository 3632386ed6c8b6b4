"""Translation of parallel sentences: what the model is asked, and how good its answers are."""
