"""python -m tf_deepbayes.cli COMMAND is the command deepbayes."""

from tf_deepbayes.cli.start import deepbayes

if __name__ == "__main__":
    deepbayes()
