"""Detect a saved attack: python detect/detect.py --victim GFZ --attack fgsm_eps0.10."""

from tf_deepbayes.cli import main

if __name__ == "__main__":
    main("detect")
