"""The page on which a person makes a mission: form, preview, price."""
