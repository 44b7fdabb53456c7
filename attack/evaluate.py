"""Evaluate robustness: python attack/evaluate.py --victim GFZ --data mnist --eps 0.1."""

from tf_deepbayes.cli import main

if __name__ == "__main__":
    main("evaluate")
