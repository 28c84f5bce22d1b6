"""Results of missions: stored files, galleries, exports and archives."""
