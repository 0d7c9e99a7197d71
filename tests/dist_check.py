"""Build wheel and source distribution, install only the wheel in an empty environment, and use it there.

`make dist-check` runs it in a folder whose contents it replaces: `python tests/dist_check.py build/dist-check`. This
takes minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUN = "run --preset lesson --train-size 320 --validation-size 100 --levels 0.9 --candidates 2 --dense-epochs 2 --json"

INSIDE = """
import sys, sysconfig
from pathlib import Path
import randprune_lab as rp
from randprune_lab.analysis.shipped import data_folder
from randprune_lab.errors import FileError

assert Path(rp.__file__).is_relative_to(sysconfig.get_path("purelib")), rp.__file__
assert all(getattr(rp, name) is not None for name in rp.__all__)
try:
    data_folder()
except FileError as error:
    assert "clone the repository" in str(error) and "RANDPRUNE_DATA" in str(error), error
    print(error)
else:
    raise AssertionError("the wheel has no data, but data_folder found some")
"""


def main(place: Path, *torch: str) -> None:
    """Run all steps; the first that fails ends the check."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    wheel, source = build(place)
    check_contents(wheel, source)
    use(place, install(place, wheel, torch))
    print(f"passed: {wheel.name} ({wheel.stat().st_size:,} bytes), {source.name} ({source.stat().st_size:,} bytes)")


def build(place: Path) -> tuple[Path, Path]:
    """The paths of the wheel and of the source distribution that it is built from."""
    tools = environment(place / "tools")
    done(tools, "-m", "pip", "install", "--quiet", "build")
    done(tools, "-m", "build", "--outdir", place / "dist", ROOT)
    (wheel,), (source,) = (place / "dist").glob("*.whl"), (place / "dist").glob("*.tar.gz")
    return wheel, source


def check_contents(wheel: Path, source: Path) -> None:
    """The wheel has the package and nothing else; the source distribution has the files in git."""
    names = zipfile.ZipFile(wheel).namelist()
    assert "randprune_lab/py.typed" in names
    strange = [name for name in names if not name.startswith("randprune_lab")]
    assert not strange, f"the wheel also has {strange[:5]}"
    with tarfile.open(source) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    left_out = {".gitignore", ".ci/run"}
    lost = {name for name in listed.stdout.splitlines() if name not in packed} - left_out
    assert not lost, f"the source distribution lacks {sorted(lost)[:5]}; see MANIFEST.in"


def install(place: Path, wheel: Path, torch: tuple[str, ...]) -> Path:
    """The Python of an environment with the wheel and its requirements, in the locked versions."""
    python = environment(place / "empty")
    lock = ROOT / "requirements.lock"
    (wanted,) = (line for line in lock.read_text("utf-8").splitlines() if line.startswith("torch=="))
    done(python, "-m", "pip", "install", "--quiet", *torch, wanted)
    done(python, "-m", "pip", "install", "--quiet", "--constraint", lock, wheel)
    done(python, "-m", "pip", "check")
    return python


def use(place: Path, python: Path) -> None:
    """Import the package and run a small search, from a folder outside the checkout."""
    work = place / "work"
    work.mkdir()
    command = python.with_name("randprune")
    # The data are also searched in parent folders, and the checkout is one of them; so start elsewhere.
    away = {"cwd": Path(os.sep).resolve()}
    done(python, "-I", "-c", INSIDE, **away)
    done(command, "tasks", **away)
    found = json.loads(done(command, *RUN.split(), "--out", work / "run", **away))
    assert found["finished"] and len(found["levels"][0]["candidates"]) == 2
    done(command, "show", work / "run", **away)
    for form in ("dense", "sparse"):
        done(command, "export", work / "run", "--format", form, "--out", work / form, **away)
    sizes = [sum(file.stat().st_size for file in (work / form).glob("*.safetensors")) for form in ("dense", "sparse")]
    print(f"exported: {sizes[0]:,} bytes dense, {sizes[1]:,} sparse")


def environment(place: Path) -> Path:
    """The Python of a new and isolated environment."""
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    return place.resolve() / ("Scripts" if os.name == "nt" else "bin") / "python"


def done(*command: object, cwd: Path | None = None) -> str:
    """The output of a command, which must succeed; variables of this process that could help it are hidden."""
    print("+", *(str(part) if "\n" not in str(part) else "..." for part in command), flush=True)
    hidden = ("PYTHON", "RANDPRUNE_", "JUPYTER_", "VIRTUAL_ENV")
    own = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    answer = subprocess.run(list(map(str, command)), cwd=cwd, env=own, stdout=subprocess.PIPE, text=True, check=False)
    if answer.returncode:
        sys.exit(f"failed with {answer.returncode}:\n{answer.stdout}")
    return answer.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), *sys.argv[2:])
