"""Import a published checkpoint: python train/import_checkpoint.py checkpoint_0.pkl --letter A."""

from tf_deepbayes.cli import main

if __name__ == "__main__":
    main("import-checkpoint")
