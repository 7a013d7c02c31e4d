"""Drawing inputs for an op, and measuring what comes out."""
