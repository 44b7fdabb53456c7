"""Pickles of arrays, read without running anything and written so that old NumPy reads them."""

from tf_deepbayes.core.array_pickle.files import read_array_pickle, write_array_pickle

__all__ = ["read_array_pickle", "write_array_pickle"]
