"""Train a deep Bayes classifier or a baseline: python train/vae.py GFZ --data fashion_mnist."""

from tf_deepbayes.cli import main

if __name__ == "__main__":
    main("train")
