"""Multi-layer perceptron: a small fully connected neural network."""
