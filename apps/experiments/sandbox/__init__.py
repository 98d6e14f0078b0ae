"""What runs in the isolated child: reading, checking, preprocessing, training, judging and logging.

No module here may import Django or a model; foundation and adapters are allowed.
"""
