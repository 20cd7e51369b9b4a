"""A network of two layers that tells two kinds of points apart, written once for every device (devices.py)."""
import numpy as np


def initial_weights(features, hidden, seed):
    random = np.random.default_rng(seed)
    weights = {
        "hidden_weights": random.normal(scale=features**-0.5, size=(features, hidden)),
        "hidden_bias": np.zeros((1, hidden)),
        "output_weights": random.normal(scale=hidden**-0.5, size=(hidden, 1)),
        "output_bias": np.zeros((1, 1)),
    }
    return {name: value.astype(np.float32) for name, value in weights.items()}


class Network:
    def __init__(self, device, weights):
        self.device = device
        self.weights = {name: device.array(value) for name, value in weights.items()}
        self.hidden_size = weights["hidden_weights"].shape[1]

    def to_numpy(self):
        return {name: self.device.to_numpy(value) for name, value in self.weights.items()}

    def logits(self, inputs):
        """One number a row: above 0 the network guesses kind 1, below 0 kind 0; the further away, the surer it is."""
        _, logits = self._forward(self.device.array(inputs), self._ones(inputs))
        return self.device.to_numpy(logits)

    def learn(self, inputs, targets, rate):
        """One step down the gradient of the mean cross-entropy of these rows."""
        device, weights, step = self.device, self.weights, -rate / len(inputs)
        ones = self._ones(inputs)
        inputs = device.array(inputs)
        activations, logits = self._forward(inputs, ones)

        error = device.sigmoid_error(logits, device.array(targets))
        back = device.matmul(error, weights["output_weights"], transpose_b=True)
        back = device.tanh_backward(back, activations)

        device.matmul(activations, error, transpose_a=True, scale=step, add_to=weights["output_weights"])
        device.matmul(ones, error, transpose_a=True, scale=step, add_to=weights["output_bias"])
        device.matmul(inputs, back, transpose_a=True, scale=step, add_to=weights["hidden_weights"])
        device.matmul(ones, back, transpose_a=True, scale=step, add_to=weights["hidden_bias"])

    def _forward(self, inputs, ones):
        device, weights = self.device, self.weights
        activations = device.matmul(ones, weights["hidden_bias"])
        activations = device.tanh(device.matmul(inputs, weights["hidden_weights"], add_to=activations))
        logits = device.matmul(ones, weights["output_bias"])
        return activations, device.matmul(activations, weights["output_weights"], add_to=logits)

    def _ones(self, inputs):
        """A column; times a bias it gives that bias to each row, and times an error it adds the rows up."""
        return self.device.array(np.ones((len(inputs), 1), np.float32))


def loss_and_accuracy(logits, targets):
    losses = np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))
    return float(losses.mean()), float(((logits > 0) == (targets > 0.5)).mean())
