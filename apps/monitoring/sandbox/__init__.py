"""The mathematics of monitoring, and the program of the isolated child. Nothing here imports Django."""
