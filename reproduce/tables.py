"""Print the tables of a study as markdown: python reproduce/tables.py --data fashion_mnist.

Reads what reproduce/study.py left in the runs, and with --figure draws the curves as a PNG.
"""

from tf_deepbayes.cli import main

if __name__ == "__main__":
    main("report")
