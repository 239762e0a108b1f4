"""`python -m recipes.reproduce`."""

from recipes.command_line import RecipeCommand
from recipes.reproduce.command import reproduce_command

main = RecipeCommand("python -m recipes.reproduce", reproduce_command)

if __name__ == "__main__":
    raise SystemExit(main())
