"""Attack a trained classifier: python attack/attack.py --victim GFZ --data mnist --eps 0.1,0.2."""

from tf_deepbayes.cli import main

if __name__ == "__main__":
    main("attack")
