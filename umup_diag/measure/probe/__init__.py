"""What one update does: to the loss, and to what each layer makes of its input."""
