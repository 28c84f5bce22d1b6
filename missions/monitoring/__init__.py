"""How the site is, for people and programs that watch over it."""
