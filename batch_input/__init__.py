"""Turn a file or the texts of a form into the rows of a mission."""
