"""``python -m clinder`` is ``clinder``."""

from clinder.cli import main

if __name__ == "__main__":
    main()
