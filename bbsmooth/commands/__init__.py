"""What each command does, from settings to files; the command line only parses and prints."""
