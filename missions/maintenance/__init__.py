"""Sums and counts that repeat other rows: kept up to date, compared with them, corrected."""
