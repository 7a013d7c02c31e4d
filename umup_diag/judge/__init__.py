"""What a recording means: pure functions from a Recording to a Result."""
