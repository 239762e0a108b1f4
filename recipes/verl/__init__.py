"""Training with verl: our credit as its advantages. Run by verl's Python, see docs/verl.md."""
