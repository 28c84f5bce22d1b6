"""Programs that run on this server instead of at a vendor: no key, no charge."""
