"""Commands, from settings to files; the command line only parses and prints."""
