"""LightGBM: gradient boosting with leaf-wise trees, where the system's OpenMP library loads."""
