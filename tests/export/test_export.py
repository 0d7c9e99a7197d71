"""An exported winner has its weights, its masks, its tokenizer, and a card with what is known about it."""

from __future__ import annotations

import copy
import dataclasses
import html
import inspect
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from support.runs import change_unit
from transformers import BertForTokenClassification

import randprune_lab as rp
from randprune_lab.cli import main
from randprune_lab.errors import ConfigError, FileError, RunError
from randprune_lab.export.card import model_card
from randprune_lab.masks import MaskSet
from randprune_lab.models import mean_pooled_bert
from randprune_lab.stats.intervals import Interval
from randprune_lab.terminal import printable

WINNER = "search-level-2"


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exported")
    return {format: rp.export_run(finished, folder / format, format) for format in ("dense", "sparse")}


@pytest.fixture(scope="module")
def trained(finished) -> dict[str, torch.Tensor]:
    return load_file(finished / "checkpoints" / f"{WINNER}.safetensors")


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    return shutil.copytree(finished, tmp_path / "copy of a run")


def answer(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=torch.arange(5, 17)[None]).logits


def points(score: Interval) -> str:
    return "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * end for end in (score.estimate, score.low, score.high)))


def mask_of(run: Path) -> rp.MaskSet:
    return rp.MaskSet.load(run / "masks" / f"{WINNER}.safetensors")


# --- what is written ---


def test_dense_has_the_files_of_save_pretrained_and_the_masks(exported, finished, trained):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    files = {path.name for path in (finished / "model").iterdir()}
    assert {path.name for path in exported["dense"].iterdir()} == files | {"README.md", "mask.safetensors"}
    model = AutoModelForSequenceClassification.from_pretrained(exported["dense"])
    assert all(torch.equal(weight, trained[name]) for name, weight in model.state_dict().items())
    assert rp.MaskSet.load(exported["dense"] / "mask.safetensors") == mask_of(finished)
    assert len(AutoTokenizer.from_pretrained(exported["dense"])) == model.config.vocab_size


def test_every_file_of_a_run_and_of_its_export_can_be_read_by_whom_the_umask_lets(exported, finished, tmp_path):
    (tmp_path / "usual").touch()
    files = [path for folder in (finished, *exported.values()) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert {path.stat().st_mode for path in files} == {(tmp_path / "usual").stat().st_mode}


def test_sparse_has_the_same_weights_bit_for_bit_and_no_dense_file(exported, finished, trained):
    files = {path.name for path in exported["sparse"].iterdir()}
    assert [name for name in files if name.endswith("safetensors")] == ["model.sparse.safetensors"]
    assert {"README.md", "config.json", "tokenizer.json"} <= files
    found = rp.load_sparse(exported["sparse"] / "model.sparse.safetensors")
    assert found.mask == mask_of(finished) and found.weights.keys() == trained.keys()
    assert all(torch.equal(found.weights[name].view(torch.int32), trained[name].view(torch.int32)) for name in trained)


def test_an_exported_folder_is_loaded_fast(exported, finished):
    from transformers import AutoModelForSequenceClassification

    expected = AutoModelForSequenceClassification.from_pretrained(finished / "model")
    with pytest.warns(UserWarning, match="no layer of .* is computed sparse"):
        loaded = rp.load_fast(exported["sparse"])
    assert torch.equal(answer(loaded), answer(expected))
    with pytest.raises(FileError, match="from a dense folder, load the model"):
        rp.load_fast(exported["dense"])


@pytest.mark.parametrize("format", ["dense", "sparse"])
def test_the_code_in_the_card_loads_the_model(exported, finished, format, monkeypatch):
    from transformers import AutoModelForSequenceClassification

    card = (exported[format] / "README.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    found = {"folder": str(exported[format])}
    exec(code, found)
    expected = AutoModelForSequenceClassification.from_pretrained(finished / "model")
    assert torch.equal(answer(found["model"]), answer(expected))
    assert found["tokenizer"]("good film")["input_ids"]


@pytest.mark.parametrize("format", ["dense", "sparse"])
def test_the_card_has_scores_sparsities_hashes_and_settings(exported, finished, config, format):
    card, record = (exported[format] / "README.md").read_text("utf-8"), rp.RunRecord.load(finished)
    for name in ("dense", WINNER, "imp-level-2", "uniform-level-2"):
        assert points(record.score(name)) in card
    for name, kept in mask_of(finished).items():
        assert f"| {name} | {'×'.join(map(str, kept.shape))} | {int(kept.sum()):,} | " in card
    unit = record.units[WINNER]
    assert (
        all(str(unit[key]) in card for key in ("mask_sha256", "weights_sha256")) and str(unit["mask"]["seed"]) in card
    )
    assert "held-out" in card and "voting, sampling ratio " in card and "sst2: 360 train" in card
    assert f"torch {torch.__version__}" in card


def test_the_card_has_no_path_of_this_machine(exported, finished, config):
    for folder in exported.values():
        card = (folder / "README.md").read_text("utf-8")
        assert config.model not in card and str(finished) not in card and config.glue_dir not in card
        assert Path(config.model).name in card


@pytest.mark.parametrize(("run", "scores"), [("regression", 1), ("two_tests", 2)])
def test_runs_of_other_kinds_can_be_exported(request, tmp_path, run, scores):
    folder = request.getfixturevalue(run)
    out = rp.export_run(folder, tmp_path / "out", "sparse")
    card, record = (out / "README.md").read_text("utf-8"), rp.RunRecord.load(folder)
    (row,) = re.findall(r"\| \*\*search: this model\*\* \| (.*) \|", card)
    assert row.split(" | ") == [points(record.score("search-level-1", each)) for each in record.task.test_sets]
    assert len(row.split(" | ")) == scores


# --- the command ---


def test_the_command_prints_the_folder(finished, tmp_path, capsys):
    assert main(["export", str(finished), "--format", "sparse", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out'}\n"
    assert (tmp_path / "out" / "model.sparse.safetensors").is_file()


# --- what is refused ---


def test_nothing_is_overwritten(exported, finished):
    before = {path: path.read_bytes() for path in exported["dense"].iterdir()}
    for out in (exported["dense"], exported["dense"] / "README.md"):
        with pytest.raises(FileError, match="exists; choose another folder"):
            rp.export_run(finished, out, "sparse")
    assert {path: path.read_bytes() for path in exported["dense"].iterdir()} == before


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("randprune_lab.export.folder.model_card", OSError(28, "No space left on device")),
        ("transformers.PreTrainedTokenizerBase.save_pretrained", Exception("No space left on device (os error 28)")),
        ("transformers.PreTrainedModel.save_pretrained", SafetensorError("I/O error: No space left on device")),
    ],
)
def test_a_failed_export_leaves_no_files(finished, tmp_path, monkeypatch, step, error):
    def fails(*arguments, **settings):
        raise error

    monkeypatch.setattr(step, fails)
    with pytest.raises(FileError, match=r"cannot write .*: .*No space left on device"):
        rp.export_run(finished, tmp_path / "out")
    assert not [*tmp_path.iterdir()]


def test_an_unfinished_run_is_refused(copied, tmp_path):
    journal = copied / "journal.jsonl"
    journal.write_text("".join(journal.read_text("utf-8").splitlines(keepends=True)[:-1]), "utf-8")
    with pytest.raises(RunError, match="is not finished; continue with: randprune run --resume"):
        rp.export_run(copied, tmp_path / "out")
    with pytest.raises(RunError, match="holds no run"):
        rp.export_run(tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(ConfigError, match="format must be one of dense, sparse, got 'onnx'"):
        rp.export_run(copied, tmp_path / "out", "onnx")


def test_damaged_files_are_refused(copied, tmp_path):
    mask_file, model = copied / "masks" / f"{WINNER}.safetensors", copied / "model" / "model.safetensors"
    right = mask_file.read_bytes()
    shutil.copy(copied / "masks" / "imp-level-2.safetensors", mask_file)
    expected = rp.RunRecord.load(copied).units[WINNER]
    with pytest.raises(FileError, match=f"mask file .* is not what the run .* {expected['mask_sha256']}; .* --resume"):
        rp.export_run(copied, tmp_path / "out")
    mask_file.write_bytes(right)
    shutil.copy(copied / "checkpoints" / "dense.safetensors", model)
    message = (
        rf"the model in .* is not what the run recorded: its SHA-256 is \w{{64}}, expected {expected['weights_sha256']}"
    )
    with pytest.raises(FileError, match=message):
        rp.export_run(copied, tmp_path / "out")
    model.write_bytes(model.read_bytes()[:-9])
    with pytest.raises(FileError, match=r"cannot load a model from folder .* nothing was exported"):
        rp.export_run(copied, tmp_path / "out")
    model.unlink()
    with pytest.raises(FileError, match="cannot load a model from folder"):
        rp.export_run(copied, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_changed_bit_of_a_kept_weight_is_refused(copied, tmp_path):
    """The mask alone does not show such a change."""
    weights, file = load_file(copied / "model" / "model.safetensors"), copied / "model" / "model.safetensors"
    name, kept = next(iter(mask_of(copied).items()))
    weights[name].view(torch.int32)[tuple(kept.nonzero()[0])] ^= 1
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(FileError, match="is not what the run recorded"):
        rp.export_run(copied, tmp_path / "out")


@pytest.mark.parametrize("file", [f"masks/{WINNER}.safetensors", "model/model.safetensors"])
def test_the_command_in_the_error_restores_the_file(finished, config, copied, tmp_path, file, caplog):
    (copied / file).write_bytes((copied / file).read_bytes()[:-9])
    with pytest.raises(FileError, match=r"restore it with: randprune run --resume --out '.*copy of a run'"):
        rp.export_run(copied, tmp_path / "out")
    rp.run(config, copied, resume=True, progress=False)
    assert caplog.text.count("it is made again") == 1
    assert rp.RunRecord.load(copied).summary() | {"run": 0} == rp.RunRecord.load(finished).summary() | {"run": 0}
    exported = rp.export_run(copied, tmp_path / "out") / "model.safetensors"
    assert exported.read_bytes() == (finished / "model" / "model.safetensors").read_bytes()


# --- a run from a stranger ---


def change(file: Path, **values: object) -> None:
    """Change settings in a JSON file, or write one with them."""
    old = json.loads(file.read_text("utf-8")) if file.exists() else {}
    file.write_text(json.dumps(old | values), "utf-8")


def contents(folder: Path) -> dict[str, object]:
    """The files of a hand-out; of files whose metadata have no order, only the size."""
    own = ("mask.safetensors", "model.sparse.safetensors")
    return {file.name: len(file.read_bytes()) if file.name in own else file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("target", ["secret", "/", "..", "the link itself"])
@pytest.mark.parametrize(
    "place", ["model/notes", "model/a/b", "model/tokenizer.json", "model", "masks", "predictions", "environment.json"]
)
def test_links_are_not_followed(copied, tmp_path, place, target):
    (tmp_path / "secret").write_text("secret")
    link = copied / place
    link.parent.mkdir(exist_ok=True)
    if link.is_dir():
        shutil.rmtree(link)
    link.unlink(missing_ok=True)
    link.symlink_to({"secret": tmp_path / "secret", "the link itself": link.name}.get(target, target))
    with pytest.raises(FileError, match=f"{place} is a link or no plain file; replace it"):
        rp.export_run(copied, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_queue_is_not_waited_for(copied, tmp_path):
    os.mkfifo(copied / "model" / "vocab.txt")
    with pytest.raises(FileError, match=r"vocab\.txt is a link or no plain file"):
        rp.export_run(copied, tmp_path / "out")


@pytest.mark.parametrize("path", ["/", "../.."])
def test_the_journal_does_not_choose_the_folder_of_the_model(copied, exported, tmp_path, path):
    change_unit(copied, "model", path=path)
    assert contents(rp.export_run(copied, tmp_path / "out")) == contents(exported["dense"])


@pytest.mark.parametrize("name", ["../../secret", "imp-level-2"])
def test_the_journal_does_not_choose_the_winner(copied, tmp_path, name):
    change_unit(copied, "model", weights=name)
    with pytest.raises(FileError, match=f"must name {WINNER}, got .*; nothing was exported"):
        rp.export_run(copied, tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("config.json", {"transformers_weights": "../secret.safetensors"}),
        ("tokenizer_config.json", {"fast_tokenizer_files": ["tokenizer.1.0.json", "/secret/tokenizer.4.0.json"]}),
        ("model.safetensors.index.json", {"metadata": {}, "weight_map": {"a": "b", "c": "../secret.safetensors"}}),
    ],
)
def test_files_of_a_model_name_no_file_outside(copied, tmp_path, file, values):
    change(copied / "model" / file, **values)
    with pytest.raises(FileError, match=rf"{file} names a file outside its folder, '.*secret.*'; correct it"):
        rp.export_run(copied, tmp_path / "out")


@pytest.mark.parametrize("format", ["dense", "sparse"])
def test_nothing_of_the_hand_out_asks_to_trust_code(copied, exported, tmp_path, format):
    foreign = {"AutoConfig": "foreign/repository--code.C", "AutoModelForSequenceClassification": "code.M"}
    change(copied / "model" / "config.json", auto_map=foreign, custom_pipelines={"a": {"impl": "code.P"}})
    change(copied / "model" / "tokenizer_config.json", auto_map={"AutoTokenizer": ["code.T", None]})
    (copied / "model" / "code.py").write_text("foreign")
    assert contents(rp.export_run(copied, tmp_path / "out", format)) == contents(exported[format])


def test_others_can_read_the_files(exported):
    for folder in exported.values():
        assert len({file.stat().st_mode for file in folder.iterdir()}) == 1


NASTY = (
    "x\n\n# H\n<img src=x onerror=1> [a](javascript:1) ![b](https://c.d/e) `c` ``d |e| \x1b[31m &lt; https://f.g *h*"
)
TAGS = {"h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "a", "code", "pre", "strong"}


def test_markup_in_names_is_shown_as_text(finished):
    from mistune import create_markdown

    read = rp.RunRecord.load(finished)
    config = dataclasses.replace(read.config, model=NASTY, include=(NASTY,), exclude=("a`b", "c|d", "e*<f"))
    record = rp.RunRecord(read.path, config, copy.deepcopy(read.units))
    record.units["data"]["task"] |= {"name": NASTY}
    record.units["data"]["train"] = NASTY
    record.units[WINNER] |= {"mask_sha256": NASTY, "weights_sha256": NASTY, "winner": NASTY}
    record.environment["packages"] = {NASTY: NASTY}
    card = model_card(record, MaskSet({NASTY: torch.ones(2, 2, dtype=torch.bool)}), "dense", "bert")
    _, front, body = card.split("---\n", 2)
    assert "\x1b" not in card and front.count("\n") == 3
    page = create_markdown(escape=False, plugins=["table", "url", "strikethrough"])(body)
    assert set(re.findall(r"<(\w+)", page)) <= TAGS
    assert re.findall(r'href="(.*?)"', page) == ["https://arxiv.org/abs/2310.13183"]
    assert {row.count("<td") for row in page.split("<tr>")} == {0, 2, 4}
    assert "a`b c|d <code>e*&lt;f</code>" in page
    assert page.count(html.escape(printable(NASTY))) == 12


PLAIN = """
import importlib.util, sys, torch
sys.modules["randprune_lab"] = None  # an import of it raises
folder = sys.argv[1]
exec(sys.argv[2])
print(type(model).__name__, *model.eval()(input_ids=torch.arange(5, 17)[None]).logits[0].tolist())
"""


def test_the_card_of_a_mean_pooled_model_loads_it_with_plain_transformers(tmp_path):
    lesson = rp.RunConfig.preset("lesson", train_size=64, validation_size=40, levels=(0.5,), candidates=1)
    short = dataclasses.replace(lesson, dense_epochs=1, epochs=1, baselines=(), exclude=("*.query.weight",))
    run = rp.run(short, tmp_path / "run", progress=False)
    (run / "model" / "mean_pooled_bert.py").write_text("raise SystemExit('not ours')")
    card = (rp.export_run(run, tmp_path / "dense") / "README.md").read_text("utf-8")
    assert (tmp_path / "dense" / "mean_pooled_bert.py").read_text("utf-8") == inspect.getsource(mean_pooled_bert)
    assert (
        "runs code from a folder\nonly if you set `trust_remote_code`" in card
        and "\n| weights that stay dense | `*.query.weight` |" in card
    )
    ours, plain = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert "trust_remote_code" not in ours and "randprune_lab" not in plain
    arguments = [sys.executable, "-c", PLAIN, str(tmp_path / "dense"), plain]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kind, *logits = done.stdout.split()
    model, _ = rp.load_model(str(run / "model"), num_labels=2)
    assert kind == "MeanPooledBertForSequenceClassification"
    assert torch.equal(torch.tensor([float(one) for one in logits]), answer(model)[0])
    assert "`BertForTokenClassification.from_pretrained(folder)`" in card
    tokens = BertForTokenClassification.from_pretrained(tmp_path / "dense")
    assert torch.allclose(answer(tokens).mean(1), answer(model), atol=1e-5)
    sparse = (rp.export_run(run, tmp_path / "sparse", "sparse") / "README.md").read_text("utf-8")
    assert "trust_remote_code" not in sparse


# --- no network, no pickle ---

OFFLINE = """
import sys
import os
from pathlib import Path

asked, unpickled = [], []

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        asked.append((event, str(arguments)))
        raise OSError("no network")
    if event == "pickle.find_class":
        unpickled.append(arguments)

import randprune_lab as rp
from randprune_lab.analysis.shipped import recorded_results, reference_results, pool_records
from randprune_lab.cli import main
sys.addaudithook(watch)

run, out = Path(sys.argv[1]), Path(sys.argv[2])
lesson = "run --preset lesson --train-size 64 --validation-size 40 --levels 0.9 --candidates 2 --dense-epochs 1"
assert main([*lesson.split(), "--out", str(out / "lesson")]) == 0
assert main([*lesson.split(), "--out", str(out / "lesson"), "--resume"]) == 0
pool_records(), recorded_results(), reference_results()
rp.load_model("minilm", num_labels=2, layers=1)
rp.load_splits("rotten_tomatoes", train_size=64)
assert main(["show", str(run)]) == 0
assert main(["models"]) == 0
assert main(["export", str(run), "--format", "sparse", "--out", str(out / "sparse")]) == 0
assert main(["export", str(run), "--out", str(out / "dense")]) == 0
rp.load_sparse(out / "sparse" / "model.sparse.safetensors")
model, tokenizer = rp.load_model(str(out / "dense"), num_labels=2)
rp.load_model("tiny", num_labels=2)
rp.load_splits("mini-sst2", train_size=64)
rp.mask_from_zeros(model).save(out / "mask")
rp.MaskSet.load(out / "mask").apply_(model)
rp.MaskCallback(rp.MaskSet.load(out / "mask"), model)
assert not unpickled, unpickled
assert not asked, asked
import pickle, socket
pickle.loads(pickle.dumps(Path))
try:
    socket.create_connection(("192.0.2.1", 80), 1)
except OSError:
    pass
assert unpickled and asked  # so the hook works
"""


def test_no_command_uses_the_network_or_reads_a_pickle(finished, tmp_path):
    """No variable tells libraries to stay offline."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(finished), str(tmp_path)],
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_a_killed_export_left_is_removed(finished, tmp_path):
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = tmp_path / f".out.{int(done.stdout)}@{platform.node()}.tmp"
    left.mkdir()
    (left / "config.json").write_text("half")
    rp.export_run(finished, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
