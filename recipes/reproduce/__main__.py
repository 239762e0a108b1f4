"""`python -m recipes.reproduce`."""

from recipes.reproduce.command import main

if __name__ == "__main__":
    raise SystemExit(main())
