"""Reading weights from files, never executing any."""
