"""Training on features of images, and of the network that gives them."""
