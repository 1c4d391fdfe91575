"""What a user can ask for: frozen settings, checked before anything is opened."""
