"""Export a run as a published checkpoint: python train/export_checkpoint.py RUN --out FILE."""

from tf_deepbayes.cli import main

if __name__ == "__main__":
    main("export-checkpoint")
