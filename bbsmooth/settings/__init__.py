"""Settings that a user can ask for: frozen, checked before anything is opened."""
