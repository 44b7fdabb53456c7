"""Classifiers on the features of a frozen network: VGG16, any Keras model, the wrapper."""
