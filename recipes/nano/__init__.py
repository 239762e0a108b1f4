"""A nano model, made from the rows that it will be trained on."""
