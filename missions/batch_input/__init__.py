"""What a person has at hand, a file or a form, becomes the rows of a mission."""
