"""Check plans: TOML files that say what CI holds a model to, and the gate that runs them."""
