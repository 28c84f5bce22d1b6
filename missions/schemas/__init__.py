"""What the JSON API takes in and gives out."""
