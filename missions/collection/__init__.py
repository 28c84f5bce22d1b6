"""What a mission made, taken out of the program: a folder of files, a ZIP archive, rows for programs."""
