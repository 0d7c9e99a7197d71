"""The grader's side of a student's kernel: where it runs, what it can see, and its end with all that it started."""

from __future__ import annotations

import builtins
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from randprune_lab.errors import GradingError
from randprune_lab.exercises import kernel
from randprune_lab.exercises.check import CHOICES
from randprune_lab.exercises.kernel import decode, encode

LONGEST_REPLY = 8 << 20  # bytes
SECONDS_TO_START, SECONDS_TO_END = 120.0, 20.0
VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")
THREADS = ("GOMP_SPINCOUNT", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "OMP_WAIT_POLICY")
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt", "/nix")
ROOM = 1 << 30  # bytes of files in an isolated kernel's folder
UNSHARE = f"""set -e
home=$1; shift
mount -t tmpfs -o size={ROOM},mode=755 tmpfs "$home"
mkdir -p "$home/proc" "$home/dev/shm" "$home/$home"
mount -t proc -o ro proc "$home/proc"
for device in dev/null dev/zero dev/random dev/urandom; do
    : > "$home/$device"
    mount --bind "/$device" "$home/$device"
done
while [ "$1" != -- ]; do
    mkdir -p "$home/$1"
    mount -o rbind,ro "$1" "$home/$1"
    shift
done
shift
while [ "$1" != -- ]; do
    mount --bind "$home/dev/null" "$home/$1"
    shift
done
shift
exec chroot "$home" setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""


class AnswerError(Exception):
    """A student's function raised an error of a type that the grader does not know."""


class Stopped(BaseException):  # not an Exception: no check catches it
    """A kernel ended or did not answer in time; the message is the reason."""


class Kernel:
    """A student's kernel.

    Args:
        connection: the socket to its process.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.begin(SECONDS_TO_START)

    def begin(self, seconds: float) -> None:
        """Start the clock: everything until the next `begin` may take `seconds`."""
        self._seconds, self._end = seconds, time.monotonic() + seconds

    def run(self, cell: str) -> None:
        """Run a cell. Raises its error, or `Stopped`."""
        self._ask({"run": cell})

    def call(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        """Call a function with copies of plain data. Returns plain data. Raises its error, or `Stopped`."""
        return self._ask({"call": [name, encode(arguments), encode(keywords)]})

    def value(self, name: str) -> Any:
        """The plain data with this name. Raises its error, or `Stopped`."""
        return self._ask({"value": name})

    def reply(self) -> Any:
        """The JSON of the next reply. Raises `Stopped` if there is none."""
        reply = bytearray()
        try:
            while not reply.endswith(b"\n") and len(reply) <= LONGEST_REPLY:
                part = self._in_time().recv(1 << 20)
                if not part:
                    raise Stopped("stopped the kernel")
                reply += part
        except TimeoutError:
            raise Stopped(f"took longer than {self._seconds:g} seconds") from None
        except OSError:
            raise Stopped("stopped the kernel") from None
        if len(reply) > LONGEST_REPLY:
            raise Stopped(f"returned more than {LONGEST_REPLY >> 20} MB")
        return json.loads(reply)

    def _ask(self, request: dict[str, Any]) -> Any:
        with suppress(OSError):  # then there is no reply
            self._in_time().sendall(json.dumps(request).encode() + b"\n")
        reply = self.reply()
        if error := reply.get("error"):
            raise _error(*map(str, error))
        return decode(reply.get("value"))

    def _in_time(self) -> socket.socket:
        self._connection.settimeout(max(self._end - time.monotonic(), 1e-3))
        return self._connection


@contextmanager
def start(tool: str | None = None, hidden: Sequence[Path] = ()) -> Iterator[Kernel]:
    """A kernel with a folder of its own. At the end, its folder and all of its processes are removed.

    Args:
        tool: what isolates it: "bwrap", "unshare", or None for nothing.
        hidden: folders that it cannot see if it is isolated.

    Raises:
        GradingError: if it does not start.
    """
    home = str(Path(tempfile.mkdtemp(prefix="randprune-")).resolve())
    program = [sys.executable, "-P", kernel.__file__]
    ours, theirs = socket.socketpair()
    try:
        with ours, tempfile.TemporaryFile() as errors, _ending_what_starts():
            started = Kernel(ours)
            try:
                with theirs:
                    subprocess.Popen(
                        [*_enclosed(tool, home, hidden), *program, str(theirs.fileno())],
                        env=_environment(home),
                        cwd=home,
                        pass_fds=[theirs.fileno()],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=errors,
                        start_new_session=True,
                    )
                started.reply()
            except (OSError, Stopped) as reason:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise GradingError(
                    f"a student's kernel ({sys.executable}) does not start: {said or reason}"
                ) from reason
            yield started
    finally:
        for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            subprocess.run([*command, home], check=False, stderr=subprocess.DEVNULL)


def _environment(home: str) -> dict[str, str]:
    """The variables of a kernel: nothing of the account, and the paths of this Python."""
    return {
        **{name: os.environ[name] for name in (*VARIABLES, *THREADS) if name in os.environ},
        **dict.fromkeys(("HOME", "TMPDIR", "IPYTHONDIR"), home),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "MPLBACKEND": "agg",
    }


def _enclosed(tool: str | None, home: str, hidden: Sequence[Path]) -> list[str]:
    """The beginning of a command that runs alone, without a network, with read-only files and a new folder `home`."""
    visible = _visible(hidden) if tool else []
    empty = _answers(visible)
    if tool == "bwrap":
        bound = [part for path in visible for part in ("--ro-bind", path, path)]
        bound += [part for path in empty for part in ("--ro-bind", os.devnull, path)]
        made = ["--proc", "/proc", "--dev", "/dev", "--size", str(ROOM), "--tmpfs", home]
        fixed = ["--remount-ro", "/proc", "--remount-ro", "/"]
        return ["bwrap", "--unshare-all", "--cap-drop", "ALL", "--die-with-parent", *bound, *made, *fixed, "--"]
    if tool == "unshare":
        spaces = ["--user", "--map-root-user", "--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child"]
        script = ["sh", "-c", UNSHARE, "sh", home, *visible, "--", *empty, "--"]
        return ["setpriv", "--pdeathsig=KILL", "unshare", *spaces, *script]
    return []


def _visible(hidden: Sequence[Path]) -> list[str]:
    """The folders of the system, of Python and of this package, except those with hidden folders in them."""
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    named = [Path(path).absolute() for path in (*SYSTEM, sys.prefix, sys.base_prefix, *sys.path, *libraries) if path]
    found: list[Path] = []
    for path in sorted({*named, *(path.resolve() for path in named)}):
        open_to_all = not any(folder.resolve().is_relative_to(path.resolve()) for folder in hidden)
        if path.is_dir() and open_to_all and not any(path.is_relative_to(other) for other in found):
            found.append(path)
    return [*map(str, found), str(Path(__file__).resolve().parents[1])]


def _answers(visible: Sequence[str]) -> list[str]:
    """Where the right choices are in visible folders, which may be links to the same one: those files are empty."""
    answers = CHOICES.resolve()
    folders = {Path(path): Path(path).resolve() for path in visible}
    return [str(path / answers.relative_to(real)) for path, real in folders.items() if answers.is_relative_to(real)]


@contextmanager
def _ending_what_starts() -> Iterator[None]:
    """End every process group that was started inside the block, in Linux also those whose parents have ended.

    Raises:
        GradingError: if they start others faster than they are ended.
    """

    def children() -> set[int]:
        return {child.pid for child in psutil.Process().children()}

    before = children()
    adopted = _adopt_orphans(True)
    try:
        yield
    finally:
        end = time.monotonic() + SECONDS_TO_END
        while left := [pid for pid in children() - before if os.getpgid(pid) != os.getpgrp()]:
            for pid in left:
                os.killpg(os.getpgid(pid), signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)
            if time.monotonic() > end:
                raise GradingError(f"cannot end {len(left)} processes that a student's code started; end them")
        _adopt_orphans(adopted)


def _adopt_orphans(adopt: bool) -> bool:
    """Set whether processes that lose their parents become children of this one (Linux). Returns the old setting."""
    before = ctypes.c_int()
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(37, ctypes.byref(before))  # PR_GET_CHILD_SUBREAPER
        prctl(36, ctypes.c_ulong(adopt))  # PR_SET_CHILD_SUBREAPER
    return bool(before.value)


def _error(name: str, message: str) -> Exception:
    """The error that a student's function raised, if it is one of Python's own; checks may expect those."""
    kind = getattr(builtins, name, None)
    ends_loops = (StopIteration, StopAsyncIteration)
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, ends_loops):
        with suppress(TypeError):  # a type with other arguments
            return kind(message)
    return AnswerError(f"{name}: {message}")
