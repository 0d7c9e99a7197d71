"""A simulated GPU: tensors on the device "sim" compute on the CPU, and count what would slow down a GPU.

    weight = torch.randn(200, 300).to(DEVICE)
    with counted() as counts:
        weight.abs().sum().item()
    assert (counts.kernels, counts.waits) == (3, 1)

Code that runs on it does not assume that tensors are on the CPU. As on a GPU, operations do not mix devices, apart from
what CUDA allows: copies, CPU tensors without dimensions, and CPU indices of a tensor on the device.

- A *kernel* is an operation of PyTorch that is not only a view or an allocation.
- At a *wait* the CPU stops until the device has finished: it reads numbers (`item`, `tolist`, `cpu`), copies numbers to
  the device without `non_blocking`, or needs a shape that depends on values (`nonzero`, a boolean index).

It cannot express:

- time. Nothing runs at the same time, so a race, a missing synchronization or a slow kernel is not found;
- a GPU's numbers. The kernels are the CPU's, and a result has the CPU's bits, where a GPU sums in another order;
- a GPU's random numbers. The device has no generator of its own: dropout is drawn from the CPU's;
- a GPU's memory: its size, its layout, pinned memory;
- a GPU's restrictions. All operations and dtypes of the CPU work, and every operation takes CPU tensors without
  dimensions, not only elementwise ones;
- exact counts. A GPU may launch several kernels for an operation, and fused attention, which is one kernel on a GPU, is
  computed in parts here. Waits inside an operation are known only where PyTorch tags it, and for `bincount`;
- parameters that stay the same objects when a module moves: make the optimizer afterwards;
- several devices, streams, autocast, `torch.compile`, pickling, and in-place changes of a tensor's shape.

The device is registered for the whole process, once this module is imported. It says that it is not available, so that
accelerate, transformers and data loaders do not choose it: a test has to place models and data on it.

It rests on PyTorch's experimental way to write a backend in Python, as it is in torch 2.13.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, library, nn
from torch.utils import _foreach_utils
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend


class _Module:
    """What PyTorch asks of `torch.sim`."""

    def is_available(self) -> bool:
        return False

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return 0

    def current_device(self) -> int:
        return 0

    def manual_seed_all(self, seed: int) -> None:
        """There is no generator to seed."""

    def _is_in_bad_fork(self) -> bool:
        return False


_setup_privateuseone_for_python_backend("sim", backend_module=_Module())
DEVICE = torch.device("sim", 0)


class Counts:
    """The numbers of kernels and waits, in all and by operation."""

    def __init__(self) -> None:
        self.kernels_of: Counter[str] = Counter()
        self.waits_of: Counter[str] = Counter()

    @property
    def kernels(self) -> int:
        return self.kernels_of.total()

    @property
    def waits(self) -> int:
        return self.waits_of.total()

    def __repr__(self) -> str:
        return f"Counts({self.kernels} kernels {dict(self.kernels_of)}, {self.waits} waits {dict(self.waits_of)})"


_active: list[Counts] = []


@contextmanager
def counted() -> Iterator[Counts]:
    """Count the kernels and waits of the block."""
    counts = Counts()
    _active.append(counts)
    try:
        yield counts
    finally:
        _active.remove(counts)


class SimulatedTensor(Tensor):
    """A tensor on the device; the CPU tensor `inner` has its values."""

    inner: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: Tensor) -> SimulatedTensor:
        place = {"strides": inner.stride(), "storage_offset": inner.storage_offset()}
        tensor = Tensor._make_wrapper_subclass(cls, inner.size(), **place, dtype=inner.dtype, device=DEVICE)
        tensor.inner = inner
        return tensor

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) not in memo:
            copy = self.detach().clone()
            is_parameter = isinstance(self, nn.Parameter)
            memo[id(self)] = nn.Parameter(copy, self.requires_grad) if is_parameter else copy
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise NotImplementedError("tensors on the simulated device cannot be pickled")

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError(
            "can't convert sim:0 device type tensor to numpy. Use Tensor.cpu() to copy it to the CPU first."
        )

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.inner.untyped_storage()


_foreach_utils._foreach_supported_types.append(SimulatedTensor)  # a GPU clips all gradients in one operation

VALUE_DEPENDENT = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
INDEXING = ("index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_")


def _run(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operation on the inner tensors, and wrap what it returns."""
    name = function.name().removeprefix("aten::").partition(".")[0]
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    here = [tensor for tensor in tensors if isinstance(tensor, SimulatedTensor)]
    there = [tensor for tensor in tensors if not isinstance(tensor, SimulatedTensor)]
    to_cpu = kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "cpu"
    if name == "copy_":
        to_device = isinstance(args[0], SimulatedTensor)
        non_blocking = args[2] if len(args) > 2 else kwargs.get("non_blocking", False)
        waits = bool(there) and not (to_device and non_blocking)
    elif name in INDEXING:
        waits, there = _index_waits(name, args, there)
    elif name == "_to_copy":
        waits = to_cpu
    else:
        waits = bool(VALUE_DEPENDENT & {*function.tags}) and kwargs.get("output_size") is None
        waits = 2 * waits if name == "bincount" else waits  # CUDA reads the smallest and the largest number
    if name != "copy_" and any(tensor.dim() for tensor in there):
        raise RuntimeError(f"{name}: expected all tensors on one device, got {[str(each.device) for each in tensors]}")
    free = function.is_view or name in ("_unsafe_view", "new_empty", "new_empty_strided", "empty_like")
    _add(name, kernels=not free, waits=waits)
    result = function(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if any((each.shape, each.stride()) != (each.inner.shape, each.inner.stride()) for each in here):
        raise NotImplementedError(f"{name} changes the shape of a tensor in place")
    if name == "copy_":
        return args[0]
    if to_cpu:
        return result
    same = {id(each.inner): each for each in here}
    return tree_map(lambda value: same[id(value)] if id(value) in same else _wrapped(value), result)


def _index_waits(name: str, args: Any, there: list[Tensor]) -> tuple[int, list[Tensor]]:
    """The waits of an operation with indices, and the CPU tensors that it has besides them.

    A boolean index is counted first, unless one number is assigned to it. An index on the CPU is copied.
    """
    indices = [index for index in args[1] if index is not None] if isinstance(args[0], SimulatedTensor) else []
    fills = "put" in name and args[2].numel() == 1 and not isinstance(args[2], SimulatedTensor)
    boolean = sum(index.dtype in (torch.bool, torch.uint8) for index in indices)
    copied = sum(not isinstance(index, SimulatedTensor) for index in indices)
    others = [tensor for tensor in there if not any(tensor is index for index in indices)]
    return copied + (0 if fills else boolean), others


def _inner(value: Any) -> Any:
    if isinstance(value, SimulatedTensor):
        return value.inner
    return torch.device("cpu") if isinstance(value, torch.device) else value


def _wrapped(value: Any) -> Any:
    return SimulatedTensor(value) if isinstance(value, Tensor) else value


def _add(name: str, *, kernels: int, waits: int) -> None:
    for counts in _active:
        counts.kernels_of += Counter({name: int(kernels)})
        counts.waits_of += Counter({name: int(waits)})  # `+=` drops zeros


# --- operations without a tensor on the device among their arguments ---

_library = library.Library("aten", "IMPL")


def _register_factory(name: str) -> None:
    """Let `torch.empty(..., device=DEVICE)` and similar functions, which others are built from, make tensors here."""
    operation, _, overload = name.partition(".")
    function = getattr(getattr(torch.ops.aten, operation), overload or "default")

    def make(*args: Any, device: Any = None, pin_memory: Any = None, **kwargs: Any) -> SimulatedTensor:
        _add(operation, kernels=not operation.startswith("empty"), waits=0)
        return SimulatedTensor(function(*args, device="cpu", **kwargs))

    _library.impl(name, make, "PrivateUse1")


def _copy_from(source: Tensor, target: SimulatedTensor, non_blocking: bool = False) -> SimulatedTensor:
    """What `torch.tensor(numbers, device=DEVICE)` calls."""
    _add("copy_", kernels=1, waits=not non_blocking)
    target.inner.copy_(source)
    return target


for _name in ("empty.memory_format", "empty_strided", "arange", "arange.start", "arange.start_step"):
    _register_factory(_name)
_library.impl("_copy_from", _copy_from, "PrivateUse1")
