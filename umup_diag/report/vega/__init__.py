"""Charts as Vega-Lite, and Vega-Lite as pictures."""
