"""List the images that a run classifies right: python attack/extract_index.py --victim GFZ."""

from tf_deepbayes.cli import main

if __name__ == "__main__":
    main("extract-index")
