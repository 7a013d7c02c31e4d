"""What a model does: everything that trains, reads files or draws random numbers."""
