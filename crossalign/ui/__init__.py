"""What the pages share: cached readers and small pieces of interface."""
