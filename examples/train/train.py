"""A network of two layers learns XOR: small enough for any machine, the same numbers each time."""
import argparse

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=4000)
arguments = parser.parse_args()

random = np.random.default_rng(7)
inputs = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
targets = np.array([[0], [1], [1], [0]], dtype=float)
hidden = random.normal(size=(2, 8))
hidden_bias = np.zeros(8)
output = random.normal(size=(8, 1))
output_bias = np.zeros(1)

for epoch in range(1, arguments.epochs + 1):
    activations = np.tanh(inputs @ hidden + hidden_bias)
    guesses = 1 / (1 + np.exp(-(activations @ output + output_bias)))
    error = guesses - targets
    back = (error @ output.T) * (1 - activations**2)
    output -= 0.3 * activations.T @ error
    output_bias -= 0.3 * error.sum(axis=0)
    hidden -= 0.3 * inputs.T @ back
    hidden_bias -= 0.3 * back.sum(axis=0)
    if epoch % (arguments.epochs // 4) == 0:
        print(f"epoch {epoch}: loss {np.mean(error**2):.6f}", flush=True)

print("learned" if np.all((guesses > 0.5) == (targets > 0.5)) else "not learned")
