"""What theory says: roles, schemes, the slopes they predict, and the scale laws of ops."""
