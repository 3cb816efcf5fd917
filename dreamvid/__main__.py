"""The program: python -m dreamvid, and the console script `dreamvid`."""

from typing import NoReturn

from dreamvid import machine


def main() -> NoReturn:
    """Sets the process up before anything large is imported, and runs the command line."""
    machine.use_huge_pages()
    from dreamvid import cli

    cli.main()


if __name__ == "__main__":
    main()
