"""Model families that a verdict may be tuned on."""
