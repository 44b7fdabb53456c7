"""The attacks of Tramèr et al. 2020: python attack/adaptive.py --victim fea_K10_F_mid."""

from tf_deepbayes.cli import main

if __name__ == "__main__":
    main("adaptive")
