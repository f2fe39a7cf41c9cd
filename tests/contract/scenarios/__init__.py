"""The requests, by area. Importing a module adds its scenarios."""
