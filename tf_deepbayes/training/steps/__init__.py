"""What a training step consists of: the optimizer, the weight of the latent terms, its failure."""
