"""Export a run as a SavedModel: python train/export.py runs/fashion_mnist/GFZ --out DIR."""

from tf_deepbayes.cli import main

if __name__ == "__main__":
    main("export")
