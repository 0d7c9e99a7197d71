"""Where a run computes: its device, its number of threads, and the precision of its matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch

from randprune_lab.errors import ConfigError
from randprune_lab.sparse.kept_layers import NO_MKL, SPARSE_FROM, Layers, Precision, why_dense

MAX_THREADS = 1024
"""More than any machine has cores for; far larger numbers do not fit PyTorch's, or end the process."""


@dataclass(frozen=True)
class Compute:
    """What the settings of a run became on this machine. Each of them can change the last bits of a result.

    Args:
        device: a device with its index, such as `"cuda:0"`; a CPU has none.
        processor: the name of the GPU; None on other devices.
        threads: the number of PyTorch threads.
        precision: the number format of matrix products.
        layers: whether masked layers are computed from their kept weights alone while they are trained: "dense" for
            none, "auto" for those where it is faster, "sparse" for all.
        sparse_from: the least sparsity of the layers that "auto" computes so.
    """

    device: str
    processor: str | None
    threads: int
    precision: Precision
    layers: Layers = "dense"
    sparse_from: float = SPARSE_FROM

    @classmethod
    def find(
        cls,
        device: str = "auto",
        threads: int | None = None,
        precision: Precision = "float32",
        layers: Layers = "dense",
    ) -> Compute:
        """What these settings of `RunConfig` become on this machine; `layers` is its `compute`.

        Raises:
            ConfigError: if the device cannot be used here, or layers cannot be computed sparse on it.
        """
        found = find_device(device)
        if layers != "dense" and (reason := why_dense(found, precision)):
            if layers == "sparse":
                raise ConfigError(f"compute 'sparse' cannot be used here: {reason}; choose auto or dense")
            layers = "dense"
        return cls(str(found), device_name(found), threads or torch.get_num_threads(), precision, layers)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Compute with this number of threads and this precision in the block.

        Raises:
            ConfigError: if layers cannot be computed sparse here, as they were where this was found.
        """
        if self.layers != "dense" and not torch.backends.mkl.is_available():
            raise ConfigError(f"layers were computed sparse, which cannot be done here: {NO_MKL}; use another machine")
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with nullcontext() if self.precision == "float32" else self._autocast():
                yield
        finally:
            torch.set_num_threads(before)

    def _autocast(self) -> torch.autocast:
        # Without a cache: it would keep the weights of the first training step for the whole block.
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, cache_enabled=False)

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        name = f" ({self.processor})" if self.processor else ""
        layers = {"dense": "", "auto": ", sparse layers where faster", "sparse": ", sparse layers"}[self.layers]
        return f"{self.device}{name}, {threads}, {self.precision}{layers}"


def check_device(name: str) -> None:
    """Raise `ConfigError` unless a name is "auto" or names a kind of device, whether or not this machine has it."""
    try:
        known = isinstance(name, str) and (name == "auto" or bool(torch.device(name)))
    except RuntimeError:
        known = False
    if not known:
        raise ConfigError(f"device must be auto, cpu, cuda, cuda:1 (the second GPU) or mps, got {name!r}")


def find_device(name: str) -> torch.device:
    """The device of a name. "auto" is the first CUDA GPU, or the CPU if there is none.

    Raises:
        ConfigError: if PyTorch cannot compute on the device here.
    """
    check_device(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        probe = torch.ones(1, device=name)
        probe.item()  # the device "meta" has shapes, but no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # PyTorch asserts that it was built for CUDA
        raise ConfigError(f"device {name!r} cannot be used here; choose one of {', '.join(_usable())}") from error
    return probe.device


def device_name(device: torch.device) -> str | None:
    """The name of a CUDA GPU; None for other devices."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else None


def _usable() -> list[str]:
    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]
