"""The prompts: a package for each part of ASTRA, its records beside the templates that use them."""
