"""The report of a study: python reproduce/tables.py, or with --format markdown its tables as text.

Reads what reproduce/study.py left in the runs.
"""

from tf_deepbayes.cli import main

if __name__ == "__main__":
    main("report")
