"""How any result is shown: terminal, JSON, figures, a page."""
