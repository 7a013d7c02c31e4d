"""Tell whether a network is scaled right (µP, u-µP), which tensor is wrong, and what to change."""
