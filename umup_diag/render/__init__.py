"""How a Result is told: terminal, JSON, figures, a page."""
