"""What a number format can hold: formats, rounding, quantisation, code histograms."""
