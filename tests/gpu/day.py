"""Spends the minutes of a GPU: `python -m gpu.day --out DIR`, with `tests` on the path; needs no package to begin.

The steps run one after the other, each in its own time. What they find is in `gpu-day.tar.gz` and `summary.txt`, which
are written again while they run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gpu import needs
from gpu.steps import Result, last_lines, run_step
from gpu.summary import Summary

ROOT = Path(__file__).parents[2]
WORK = ROOT / "build" / "gpu"
STUDY = ROOT / "randprune_lab" / "study" / "gpu-day.yaml"

NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}

MACHINE = """
import json, platform, torch
facts = {"Python": platform.python_version(), "torch": torch.__version__, "CUDA": torch.version.cuda or "none"}
gpu = torch.cuda.is_available()
facts["GPU"] = torch.cuda.get_device_name() if gpu else "none"
facts["cores"] = len(__import__("os").sched_getaffinity(0))
print(json.dumps(facts))
"""


@dataclass
class Day:
    """The steps of a GPU day, and where their files are.

    Args:
        out: the folder that gets the summary and the archive.
        carry: the folder that `gpu.pack` made.
        glue: a folder with GLUE's TSV files; by default the carried ones.
        minutes: the time for all steps.
        jobs: the number of processes of the study.
        study: the YAML file of the study.
        work: a folder for everything else; a second day in it continues the study.
    """

    out: Path
    carry: Path
    glue: Path | None = None
    minutes: float = 9.0
    jobs: int = 1
    study: Path = STUDY
    work: Path = WORK
    gpu: bool = False
    summary: Summary = field(init=False)

    def __post_init__(self) -> None:
        self.start = time.monotonic()
        self.site, self.results = self.work / "site", self.work / "results"
        self.summary = Summary(self.out, self.results)
        self.reserve = min(40.0, 60 * self.minutes / 5)

    # --- time ---

    @property
    def left(self) -> float:
        """The seconds that are left, without those reserved for recording the study."""
        return self.start + 60 * self.minutes - self.reserve - time.monotonic()

    def part(self, fraction: float) -> float:
        """A fraction of all the time, in seconds; less if less is left."""
        return min(60 * self.minutes * fraction, self.left)

    # --- steps ---

    def run(self) -> None:
        """Do all steps."""
        self._forget_last_day()
        self.summary.facts["minutes"] = f"{self.minutes:g}"
        steps: list[tuple[str, Callable[[], Result]]] = [
            ("packages", self.packages),
            ("machine", self.machine),
            ("cuda-tests", self.cuda_tests),
            ("bench-masks-gpu", lambda: self.bench_masks("gpu")),
            ("bench-train-gpu", lambda: self.bench_train("gpu")),
            ("bench-masks-cpu", lambda: self.bench_masks("cpu")),
            ("bench-train-cpu", lambda: self.bench_train("cpu")),
            ("study", self.run_study),
            ("record", self.record),
        ]
        for name, step in steps:
            begin = time.monotonic()
            self.summary.running = name
            self.summary.write()
            print(f"{name} ...", flush=True)
            try:
                result = step()
            except Exception as error:  # the next step is tried all the same
                result = Result(name, "failed", time.monotonic() - begin, f"{type(error).__name__}: {error}")
            self.summary.add(result)
        self.summary.facts["minutes"] = f"{(time.monotonic() - self.start) / 60:.1f} of {self.minutes:g}"
        self.summary.write()
        print(self.summary)

    def _forget_last_day(self) -> None:
        """Delete the results of an earlier day, except those of its study."""
        for path in self.results.iterdir():
            if path.name not in ("record", self.study.name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def packages(self) -> Result:
        """Name the missing packages, and install those that were carried."""
        begin = time.monotonic()
        shutil.rmtree(self.site, ignore_errors=True)
        needs.announce_package(self.site)
        reasons, wheels = needs.missing(), needs.carried(self.carry / "wheels")
        wanted = [name for name in reasons if name in wheels and not name.startswith(needs.FIXED)]
        # All at once is faster; one at a time, a wheel that does not fit this Python does not stop the others.
        if wanted and self._install("packages", wanted).outcome != "ok":
            for name in wanted:
                self._install(f"packages-{name}", [name])
        has = needs.installed(self.site)
        still = needs.missing(has)
        lines = [f"{name}: {reason}; {_how(name, wheels, still)}" for name, reason in reasons.items()]
        self.summary.facts |= {name: has[name] for name in ("transformers", "datasets", "numpy") if name in has}
        note = "\n".join(lines) or "nothing is missing"
        return Result("packages", "failed" if still else "ok", time.monotonic() - begin, note)

    def _install(self, name: str, packages: list[str]) -> Result:
        return self._step(name, needs.install_command(packages, self.carry / "wheels", self.site), self.part(0.1))

    def machine(self) -> Result:
        """Ask for the versions and the GPU, and unpack what was carried."""
        result = self._step("machine", [sys.executable, "-c", MACHINE], self.part(0.2))
        with suppress(ValueError, IndexError, OSError):
            facts = json.loads((self.results / "logs" / "machine.log").read_text().splitlines()[-1])
            self.gpu = facts["GPU"] != "none"
            self.summary.facts |= {name: str(value) for name, value in facts.items()}
        smi = ["nvidia-smi", "--query-gpu=driver_version,memory.total", "--format=csv,noheader"]
        driver = self._step("driver", smi, min(10, self.left))
        self.summary.facts["driver, memory"] = driver.note if driver.outcome == "ok" else "unknown"
        for archive in ("minilm.zip", "glue.zip"):
            if (self.carry / archive).is_file():
                with zipfile.ZipFile(self.carry / archive) as file:
                    file.extractall(self.work / archive.removesuffix(".zip"))
        return result

    def cuda_tests(self) -> Result:
        """Run the tests that are skipped where there is no GPU."""
        tests = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if path.parent != Path(__file__).parent]
        files = [str(path.relative_to(ROOT)) for path in tests if "cuda" in path.read_text("utf-8")]
        options = ["-o", "addopts=", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
        options += ["-q", "-rfEs", "-k", "cuda", "--tb=short"]
        junit = f"--junitxml={self.results / 'cuda-tests.xml'}"
        result = self._step("cuda-tests", [sys.executable, "-m", "pytest", *options, junit, *files], self.part(0.25))
        if result.outcome == "failed":
            return replace(result, note=last_lines(self.results / "logs" / "cuda-tests.log", 15))
        return result if self.gpu or result.outcome != "ok" else replace(result, outcome="skipped")

    def bench_masks(self, place: str) -> Result:
        """Time the drawing of masks."""
        options = ["--device", "cuda"] if place == "gpu" else ["--sparsity", "0.9375"]
        return self._bench("masks", place, options)

    def bench_train(self, place: str) -> Result:
        """Time a training step."""
        steps = "20" if place == "gpu" else "5"  # a CPU takes longer
        return self._bench("train", place, ["--model", self.model, "--task", "mini-mnli", "--steps", steps])

    def _bench(self, what: str, place: str, options: list[str]) -> Result:
        name = f"bench-{what}-{place}"
        if place == "gpu" and not self.gpu:
            return Result(name, "skipped", note="no CUDA device")
        numbers = self.results / f"{name}.json"
        command = self._randprune("bench", what, *options, "--json", str(numbers))
        result = self._step(name, command, self.part(0.12), {} if place == "gpu" else NO_GPU)
        return replace(result, note=_seconds(json.loads(numbers.read_text()))) if numbers.is_file() else result

    @property
    def model(self) -> str:
        """The carried model, or else the name of the one that a package has."""
        folder = self.work / "minilm"
        return os.path.relpath(folder, ROOT) if folder.is_dir() else "minilm"

    # --- the study ---

    def run_study(self) -> Result:
        """Do units of the study until no time is left."""
        glue = self.glue or self.work / "glue"
        if not glue.is_dir():
            return Result("study", "skipped", note="there is no GLUE; give its folder as GLUE=DIR, or carry it")
        config, folder = self.results / self.study.name, self.work / "study"
        text = re.sub(r"^(  model: )minilm$", rf"\g<1>{self.model}", self.study.read_text("utf-8"), flags=re.MULTILINE)
        if config.is_file() and config.read_text("utf-8") != text:  # another study than that of the last day
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(self.results / "record", ignore_errors=True)
        config.write_text(text, "utf-8")
        options = ["--glue-dir", str(glue), "--jobs", str(self.jobs), "--resume"]
        command = self._randprune("study", str(config), "--out", str(folder), *options)
        return self._step("study", command, self.left, beside=lambda: self._record(min(40.0, self.left)))

    def record(self) -> Result:
        """Record the units of the study that are finished, and keep the journals of the others."""
        if not (self.work / "study" / "study.json").is_file():
            return Result("record", "skipped", note="there is no study")
        return self._record(self.left + self.reserve)

    def _record(self, seconds: float) -> Result:
        study = self.work / "study"
        for journal in study.rglob("journal.jsonl"):
            target = self.results / "journals" / journal.relative_to(study)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(journal, target)
        record = ["--status", "--record", str(self.results / "record")]
        command = self._randprune("study", str(self.results / self.study.name), "--out", str(study), *record)
        result = self._step("record", command, seconds, NO_GPU, pack=False)
        if result.outcome != "ok":
            return result
        self.summary.report = (self.results / "logs" / "record.log").read_text("utf-8")
        return replace(result, note="")  # it is in the report

    # --- commands ---

    def _step(
        self,
        name: str,
        command: list[str],
        seconds: float,
        env: dict[str, str] | None = None,
        *,
        beside: Callable[[], Any] | None = None,
        pack: bool = True,
    ) -> Result:
        """Run a command of this checkout.

        Args:
            beside: is done about once a minute while it runs.
            pack: write the summary and the archive again while it runs.
        """
        last = time.monotonic()

        def tick() -> None:
            nonlocal last
            if beside is not None and time.monotonic() - last >= 60:
                beside()
                last = time.monotonic()
            self.summary.write()

        log = self.results / "logs" / f"{name}.log"
        return run_step(name, command, log, seconds, env=self._env(env or {}), cwd=ROOT, tick=tick if pack else None)

    def _env(self, more: dict[str, str]) -> dict[str, str]:
        given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", "tests")]
        ours = {
            "PYTHONPATH": os.pathsep.join([str(self.site), str(ROOT), *given]),
            "PYTHONUNBUFFERED": "1",
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(self.work / "hub"),
            "TOKENIZERS_PARALLELISM": "false",
        }
        return {**os.environ, **ours, **more}

    @staticmethod
    def _randprune(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "randprune_lab.cli", *arguments]


def _how(name: str, wheels: dict[str, Path], still: dict[str, str]) -> str:
    if name.startswith(needs.FIXED):
        return "it belongs to the machine and is never installed"
    if name not in wheels:
        return "not carried"
    return f"{'cannot be installed' if name in still else 'installed'} from {wheels[name].name}"


def _seconds(rows: list[dict[str, Any]]) -> str:
    """The times of a bench, one line for each of its rows."""
    about = [f"sparsity {row['sparsity']:g}" if "sparsity" in row else row["model"] for row in rows]
    times = [", ".join(f"{name} {value:.3g} s" for name, value in row["seconds"].items()) for row in rows]
    return "\n".join(f"{row['device']}, {what}: {line}" for row, what, line in zip(rows, about, times, strict=True))


def main() -> int:
    """Do a GPU day, and return 0 if no step has failed."""
    parser = argparse.ArgumentParser(prog="gpu.day", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the summary and the archive")
    parser.add_argument("--carry", type=Path, default=ROOT / "gpu-carry", help="folder that gpu.pack made")
    parser.add_argument("--glue", type=Path, help="folder of GLUE's TSV files (default: the carried ones)")
    parser.add_argument("--minutes", type=float, default=9.0, help="time for all steps (default: 9)")
    parser.add_argument("--jobs", type=int, default=max(1, min(8, _cores() // 2)), help="processes of the study")
    parser.add_argument("--study", type=Path, default=STUDY, help="YAML file of the study (default: gpu-day.yaml)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a step is ended too
    given = {name: path.resolve() for name, path in vars(options).items() if isinstance(path, Path)}
    day = Day(**{**vars(options), **given})
    day.run()
    return int(any(step.outcome == "failed" for step in day.summary.steps))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
