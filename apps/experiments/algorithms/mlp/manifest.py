"""What the multi-layer perceptron declares about itself."""

from __future__ import annotations

from apps.experiments.algorithms.schema import Algorithm, Parameter

ALGORITHM = Algorithm(
    name="mlp",
    title="Neural network (MLP)",
    description="Fully connected layers trained by Adam. Smooth functions and many similar features, "
    "such as pixels, suit it.",
    scales=True,
    order=40,
    parameters=(
        Parameter("n_layers", "int", 1, "Hidden layers", "Depth of the network.", low=1, high=8),
        Parameter(
            "units",
            "int",
            64,
            "Units per layer",
            "Width of each hidden layer.",
            low=1,
            high=2048,
            log=True,
        ),
        Parameter(
            "learning_rate_init",
            "float",
            0.001,
            "Learning rate",
            "Step size of the optimiser at the start.",
            low=1e-6,
            high=1.0,
            log=True,
        ),
        Parameter(
            "max_iter",
            "int",
            200,
            "Epochs at most",
            "Training ends earlier when the loss stops falling.",
            low=1,
            high=5000,
            log=True,
        ),
        Parameter(
            "alpha",
            "float",
            0.0001,
            "L2 regularisation",
            "Larger values keep the weights small.",
            low=1e-9,
            high=100.0,
            log=True,
        ),
        Parameter(
            "activation",
            "categorical",
            "relu",
            "Activation",
            "The non-linearity of the hidden layers.",
            choices=("relu", "tanh", "logistic", "identity"),
            advanced=True,
        ),
        Parameter(
            "batch_size",
            "int",
            128,
            "Batch size",
            "Rows per step; never more than there are.",
            low=1,
            high=8192,
            log=True,
            advanced=True,
        ),
        Parameter(
            "early_stopping",
            "boolean",
            False,
            "Early stopping",
            "Hold back a tenth of the training rows and stop when they no longer improve.",
            advanced=True,
        ),
    ),
)
