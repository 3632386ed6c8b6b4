"""From texts to log-likelihoods and pooled states: what to run (token_tree), and running it (encoding)."""
