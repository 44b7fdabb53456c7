"""The report of a study: python reproduce/tables.py; with --format markdown, tables as text."""

from tf_deepbayes.cli import main

if __name__ == "__main__":
    main("report")
