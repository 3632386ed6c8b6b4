"""From texts to log-likelihoods and pooled states: what to run (token_tree), in what passes (batching), and running them (encoding)."""
