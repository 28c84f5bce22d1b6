"""The JSON API of missions: thin; what they say is decided in services and selectors."""
