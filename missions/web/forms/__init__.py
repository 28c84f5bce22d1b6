"""What the pages take in.  Forms check form; what is possible is decided by the services."""
