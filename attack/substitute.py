"""Train a substitute of a victim: python attack/substitute.py --victim GFZ --data mnist_5k."""

from tf_deepbayes.cli import main

if __name__ == "__main__":
    main("substitute")
