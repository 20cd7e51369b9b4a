"""
CUDA with nothing but the driver: its library `libcuda.so.1` is called through ctypes, and it compiles `kernels.ptx` for the GPU that is there. So the image needs no
CUDA toolkit; `--gpus` gives the container the library and the devices.
"""
import ctypes
from ctypes import byref, c_char_p, c_float, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path

import numpy as np

THREADS = 128  # of a block


class CudaError(Exception):
    pass


class CudaDevice:
    def __init__(self):
        try:
            self.driver = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise CudaError(f"CUDA's driver cannot be loaded ({error}; a container gets it with --gpus)") from error
        self._call("cuInit", c_uint32(0))
        count, device, context, version = c_int(), c_int(), c_void_p(), c_int()
        self._call("cuDeviceGetCount", byref(count))
        if count.value == 0:
            raise CudaError("CUDA's driver sees no GPU here (a container gets one with --gpus)")
        self._call("cuDeviceGet", byref(device), c_int(0))
        self._call("cuCtxCreate_v2", byref(context), c_uint32(0), device)
        self._call("cuDriverGetVersion", byref(version))
        title = ctypes.create_string_buffer(100)
        self._call("cuDeviceGetName", title, c_int(len(title)), device)
        self.name = f"cuda {version.value // 1000}.{version.value % 1000 // 10} on {title.value.decode()}, the first of {count.value}"
        self.module = c_void_p()
        self._call("cuModuleLoadData", byref(self.module), c_char_p(Path(__file__).with_name("kernels.ptx").read_bytes()))
        self.kernels = {name: self._kernel(name) for name in ("matmul", "tanh_forward", "tanh_backward", "sigmoid_error")}

    def array(self, values):
        values = np.ascontiguousarray(values, dtype=np.float32)
        array = CudaArray(self, *values.shape)
        self._call("cuMemcpyHtoD_v2", array.pointer, c_void_p(values.ctypes.data), c_size_t(values.nbytes))
        return array

    def to_numpy(self, array):
        values = np.empty((array.rows, array.columns), dtype=np.float32)
        # It waits for the kernels that came before.
        self._call("cuMemcpyDtoH_v2", c_void_p(values.ctypes.data), array.pointer, c_size_t(values.nbytes))
        return values

    def matmul(self, a, b, transpose_a=False, transpose_b=False, scale=1.0, add_to=None):
        # Transposed is read with the steps between rows and columns swapped.
        rows, inner, a_row, a_column = (a.columns, a.rows, 1, a.columns) if transpose_a else (a.rows, a.columns, a.columns, 1)
        columns, b_row, b_column = (b.rows, 1, b.columns) if transpose_b else (b.columns, b.columns, 1)
        out = CudaArray(self, rows, columns) if add_to is None else add_to
        keep = 0.0 if add_to is None else 1.0
        sizes = [c_uint32(size) for size in (rows, columns, inner, a_row, a_column, b_row, b_column)]
        self._launch("matmul", out, out.pointer, a.pointer, b.pointer, *sizes, c_float(scale), c_float(keep))
        return out

    def tanh(self, x):
        return self._launch("tanh_forward", x, x.pointer, c_uint32(x.size))

    def tanh_backward(self, gradient, activations):
        return self._launch("tanh_backward", gradient, gradient.pointer, activations.pointer, c_uint32(gradient.size))

    def sigmoid_error(self, logits, targets):
        return self._launch("sigmoid_error", logits, logits.pointer, targets.pointer, c_uint32(logits.size))

    def _kernel(self, name):
        kernel = c_void_p()
        self._call("cuModuleGetFunction", byref(kernel), self.module, name.encode())
        return kernel

    def _launch(self, name, out, *arguments):
        """One thread for each number of `out`, which is the result."""
        pointers = (c_void_p * len(arguments))(*[ctypes.addressof(argument) for argument in arguments])
        blocks = (out.size + THREADS - 1) // THREADS
        grid = [c_uint32(blocks), c_uint32(1), c_uint32(1), c_uint32(THREADS), c_uint32(1), c_uint32(1)]
        self._call("cuLaunchKernel", self.kernels[name], *grid, c_uint32(0), c_void_p(), pointers, c_void_p())
        return out

    def _call(self, name, *arguments):
        status = getattr(self.driver, name)(*arguments)
        if status == 0:
            return
        text = c_char_p()
        known = self.driver.cuGetErrorString(c_int(status), byref(text)) == 0 and text.value
        raise CudaError(f"CUDA's driver: {name} failed with {status} ({text.value.decode() if known else 'an error it has no words for'})")


class CudaArray:
    """Memory of the GPU, given back when nothing refers to it any more."""

    def __init__(self, device, rows, columns):
        self.device, self.rows, self.columns, self.size = device, rows, columns, rows * columns
        self.pointer = c_uint64()
        device._call("cuMemAlloc_v2", byref(self.pointer), c_size_t(4 * self.size))

    def __del__(self):
        if self.pointer.value:
            self.device.driver.cuMemFree_v2(self.pointer)
