"""Training of tiny-distilled: its texts, its batches, and that the same numbers produce the same weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from randprune_lab.models import distil_tiny, load

REVIEWS = [
    f"The {noun} of this film is {word} to watch.<br /><br />Nobody would call the other {noun} that {word}! Short one."
    for noun in ("story", "music", "hero", "ending", "camera", "dialogue")
    for word in ("good", "dull", "lovely", "sad", "slow")
]


@pytest.fixture(autouse=True)
def reviews(monkeypatch):
    monkeypatch.setattr(distil_tiny, "package_texts", lambda source: REVIEWS if source == "imdb" else [])


@pytest.fixture(scope="module")
def read():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distil_tiny, "package_texts", lambda source: REVIEWS)
        return distil_tiny._read(60, np.random.default_rng(0), None)


def test_texts_are_sentences_and_texts_made_from_them(read):
    assert len(read.texts) == 60 and len(read.related) == 60
    sentences = {read.texts[at] for at in range(0, 60, 4)}
    assert all(f"The {text[4:].split()[0]} of this film is" in text and "<" not in text for text in sentences)
    for sentence, following, altered, both in zip(*(read.texts[at::4] for at in range(4)), strict=True):
        assert set(altered.split()) <= set(sentence.split())
        assert set(both.split()) <= set(sentence.split()) | set(following.split())
    lengths = {len(text.split()) for text in read.texts[::4]}
    assert min(lengths) >= distil_tiny.WORDS[0] and max(lengths) <= distil_tiny.WORDS[1]


def test_embeddings_are_the_teachers_and_neighbours_are_near(read):
    assert torch.allclose(read.embeddings.norm(dim=1), torch.ones(60), atol=1e-5)
    model, tokenizer = load.load_model("minilm", num_labels=2)
    batch = tokenizer([read.texts[7]], return_tensors="pt")
    states = model.bert(**batch).last_hidden_state[0].mean(dim=0)
    assert torch.cosine_similarity(states, read.embeddings[7], dim=0) > 0.9999
    assert not (read.neighbours == np.arange(60)[:, None]).any()


def test_pairs_are_related_near_or_random_and_some_texts_have_no_partner(read):
    first, second = distil_tiny._pairs(read, np.random.default_rng(1), 64)
    assert (second == -1).sum() == 8 and first.min() >= 0
    pairs = {tuple(sorted(pair)) for pair in read.related.tolist()}
    assert sum(tuple(sorted(pair)) in pairs for pair in zip(first[:16], second[:16], strict=True)) == 16


def test_a_batch_has_the_two_segments_of_the_tokenizer(read):
    _, tokenizer = load.load_model("tiny-minilm", num_labels=2)
    ids = tokenizer(read.texts, add_special_tokens=False)["input_ids"]
    ours = distil_tiny._batch(ids, np.array([0, 3]), np.array([5, -1]), tokenizer)
    pair, alone = tokenizer(read.texts[0], read.texts[5]), tokenizer(read.texts[3])
    for name, values in ours.items():
        assert values[0, : len(pair[name])].tolist() == pair[name]
        assert values[1, : len(alone[name])].tolist() == alone[name]
        assert (values[1, len(alone[name]) :] == (tokenizer.pad_token_id if name == "input_ids" else 0)).all()


def test_the_same_numbers_produce_the_same_weights_and_word_embeddings_stay(tmp_path):
    from safetensors.torch import load_file

    for name in ("a", "b"):
        arguments = ["--texts", "40", "--steps", "2", "--cache", str(tmp_path / f"{name}.embeddings")]
        distil_tiny.main([*arguments[: 4 if name == "a" else 6], "--out", str(tmp_path / name)])
    ours, again = load_file(tmp_path / "a"), load_file(tmp_path / "b")
    assert (tmp_path / "b.embeddings").is_file() and load.WORD_EMBEDDINGS not in ours
    assert ours.keys() == again.keys() and all(torch.equal(ours[name], again[name]) for name in ours)
    before = load.load_model("tiny-minilm", num_labels=2)[0].bert.state_dict()
    assert ours.keys() == before.keys() - {load.WORD_EMBEDDINGS}
    changed = [name for name, weight in ours.items() if not torch.equal(weight, before[name].half())]
    assert len(changed) > len(ours) / 2
