"""What keeps the rows true and few: sums, recounting, and the removal of what is old."""
