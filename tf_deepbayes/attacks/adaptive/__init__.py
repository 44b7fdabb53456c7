"""The attacks that broke the fusion model of this paper (Tramèr et al. 2020)."""
