"""What theory says: roles, schemes, the slopes they predict, and the unit-scaled ops."""
