"""How the site is built: `make docs` and `make notebooks`."""
