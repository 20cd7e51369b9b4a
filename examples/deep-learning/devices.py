"""
Where the arithmetic is done. A device has arrays of 32-bit numbers in rows and columns, and four operations:

    matmul(a, b)               a · b, with `scale`; either transposed; `add_to`: added to that array, which is the result
    tanh(x)                    in place
    tanh_backward(g, y)        g * (1 - y²), in place of g
    sigmoid_error(z, targets)  sigmoid(z) - targets, in place of z
"""
import numpy as np

from cuda_driver import CudaDevice, CudaError


class NoDevice(Exception):
    """Why this device cannot be used here."""


class CpuDevice:
    def __init__(self):
        self.name = f"cpu (numpy {np.__version__})"

    def array(self, values):
        return np.array(values, dtype=np.float32)

    def to_numpy(self, array):
        return array.copy()

    def matmul(self, a, b, transpose_a=False, transpose_b=False, scale=1.0, add_to=None):
        product = (a.T if transpose_a else a) @ (b.T if transpose_b else b) * np.float32(scale)
        if add_to is None:
            return product
        add_to += product
        return add_to

    def tanh(self, x):
        return np.tanh(x, out=x)

    def tanh_backward(self, gradient, activations):
        gradient *= 1 - activations * activations
        return gradient

    def sigmoid_error(self, logits, targets):
        logits[:] = 1 / (1 + np.exp(-logits)) - targets
        return logits


class TorchDevice:
    """PyTorch brings CUDA's libraries itself: of the machine it needs the driver only."""

    def __init__(self):
        try:
            import torch
        except ImportError as error:
            raise NoDevice("PyTorch is not installed") from error
        if not torch.cuda.is_available():
            raise NoDevice("PyTorch is installed and sees no CUDA device")
        self.torch = torch
        self.name = f"torch {torch.__version__} on {torch.cuda.get_device_name(0)}"

    def array(self, values):
        return self.torch.tensor(np.asarray(values, dtype=np.float32), device="cuda")

    def to_numpy(self, array):
        return array.cpu().numpy()

    def matmul(self, a, b, transpose_a=False, transpose_b=False, scale=1.0, add_to=None):
        product = (a.T if transpose_a else a) @ (b.T if transpose_b else b) * scale
        return product if add_to is None else add_to.add_(product)

    def tanh(self, x):
        return x.tanh_()

    def tanh_backward(self, gradient, activations):
        return gradient.mul_(1 - activations * activations)

    def sigmoid_error(self, logits, targets):
        return logits.sigmoid_().sub_(targets)


def choose_device(wanted):
    """The device, and why it is that one. `auto`: the first that works of PyTorch with CUDA, CUDA's driver by itself, and the processor."""
    kinds = {"torch": TorchDevice, "cuda": CudaDevice, "cpu": CpuDevice}
    if wanted != "auto":
        return kinds[wanted](), "it was asked for"
    reasons = []
    for kind in kinds.values():
        try:
            return kind(), " and ".join(reasons) or "PyTorch is installed and sees it"
        except (NoDevice, CudaError) as error:
            reasons.append(str(error))
