"""The attacks of Tramèr et al. 2020 on a run, beside their published outcome."""
