"""The kernel of one student: a program that runs cells, calls functions, and exchanges plain data with the grader.

Plain data are None, numbers, strings, and lists, tuples, sets, dicts, arrays and tensors of them. They travel as JSON.
The grader starts this file as a program. Then it imports nothing of the package, so that it starts quickly.
"""

from __future__ import annotations

import ctypes
import json
import numbers
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping, Sequence, Set
from typing import Any

LIMITS = {  # of one process; memory is private memory in bytes, which an allocator or a thread's stack takes
    "RLIMIT_DATA": 2 << 30,
    "RLIMIT_FSIZE": 256 << 20,
    "RLIMIT_NPROC": 4096,
    "RLIMIT_CORE": 0,
}
CONTAINERS: dict[str, tuple[Any, Any]] = {"tuple": (tuple, tuple), "set": (Set, set), "list": (Sequence, list)}
DTYPES = {"bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"}


def encode(value: Any) -> Any:
    """The value as JSON can hold it.

    Raises:
        TypeError: if it is not plain data.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        return ["dict", [[encode(key), encode(item)] for key, item in value.items()]]
    for name, (kind, _) in CONTAINERS.items():
        if isinstance(value, kind):
            return [name, [encode(item) for item in value]]
    if hasattr(value, "tolist"):
        if getattr(value.dtype, "kind", "") == "U":  # an array of texts
            return encode(value.tolist())
        return [
            "tensor" if hasattr(value, "detach") else "array",
            str(value.dtype).removeprefix("torch."),
            value.tolist(),
        ]
    if isinstance(value, numbers.Real):
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    raise TypeError(f"expected numbers, strings, lists, dicts, arrays or tensors, got {type(value).__name__}")


def decode(value: Any) -> Any:
    """The value that `encode` was given. JSON from elsewhere gives other plain data or an error, and runs nothing."""
    if not isinstance(value, list):
        return value
    kind, *rest = value
    if kind == "dict":
        return {decode(key): decode(item) for key, item in rest[0]}
    if kind in CONTAINERS:
        return CONTAINERS[kind][1](map(decode, rest[0]))
    dtype, content = rest
    if dtype not in DTYPES:
        raise TypeError(f"expected numbers in an array, got {dtype}")
    if kind == "tensor":
        import torch

        return torch.tensor(content, dtype=getattr(torch, dtype))
    import numpy as np

    return np.array(content, dtype=dtype)[()]


def main() -> None:
    """Answer the requests that arrive at the socket with the number in the first argument."""
    from IPython.core.interactiveshell import InteractiveShell

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with the grader
    for name, most in LIMITS.items():
        hard = resource.getrlimit(limit := getattr(resource, name))[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (most, most))
    os.chdir(os.environ["HOME"])
    shell: Any = InteractiveShell.instance()
    shell.history_manager.enabled = False
    shell.showtraceback = shell.showsyntaxerror = lambda *_, **__: None
    shell.enable_gui = lambda *_, **__: None  # it has no event loop, and %matplotlib inline needs none
    with socket.socket(fileno=int(sys.argv[1])) as grader, grader.makefile("r") as requests:
        grader.set_inheritable(False)  # so that the grader notices at once if this process ends
        grader.sendall(b"null\n")
        os.dup2(0, 2)  # errors of the start went to the grader
        for line in requests:
            grader.sendall(_reply(shell, json.loads(line)).encode() + b"\n")


def _reply(shell: Any, request: dict[str, Any]) -> str:
    try:
        if "run" in request:
            shell.run_cell(request["run"]).raise_error()
            return "{}"
        name, *given = request["call"] if "call" in request else [request["value"]]
        if name not in shell.user_ns:
            raise NameError(f"name {name!r} is not defined")
        if not given:
            return json.dumps({"value": encode(shell.user_ns[name])})
        arguments, keywords = map(decode, given)
        return json.dumps({"value": encode(shell.user_ns[name](*arguments, **keywords))})
    except BaseException as error:  # sys.exit() too
        return json.dumps({"error": [type(error).__name__, str(error)[:2000]]})


if __name__ == "__main__":
    main()
