"""Train the VGG16 that gives features: python train/vgg.py --data cifar10 --width 0.25."""

from tf_deepbayes.cli import main

if __name__ == "__main__":
    main("train-vgg")
