"""``python -m socketeer``: the command line."""

from socketeer.cli import main

if __name__ == "__main__":  # and not where the reloader's process imports it again
    main(prog_name="socketeer")
