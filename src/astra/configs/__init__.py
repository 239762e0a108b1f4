"""Option classes: one declaration of every option, for Python, the command line and TOML files."""
