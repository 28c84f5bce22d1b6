"""The requests and responses of the missions API, by subject."""
