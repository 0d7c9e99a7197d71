"""What a student compares with its teacher is looked for before any training."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    FNetConfig,
    FNetForSequenceClassification,
    T5Config,
    T5ForSequenceClassification,
)

from randprune_lab.errors import ConfigError
from randprune_lab.training.config import Distillation
from randprune_lab.training.distillation import check_states

SHAPE = {"vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 8}
T5_SHAPE = {"vocab_size": 10, "d_model": 8, "d_kv": 8, "d_ff": 8, "num_layers": 1, "num_heads": 1}
MODELS = {
    "bert": lambda: BertForSequenceClassification(BertConfig(**SHAPE, num_attention_heads=1)),
    "fnet": lambda: FNetForSequenceClassification(FNetConfig(**SHAPE)),
    "t5": lambda: T5ForSequenceClassification(T5Config(**T5_SHAPE, eos_token_id=3, decoder_start_token_id=0)),
}
LACKS = {"bert": set(), "fnet": {"attention"}, "t5": {"attention", "hidden"}}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("setting", ["labels", "logits", "attention", "hidden"])
def test_states_that_a_model_does_not_return_are_refused_by_name(kind: str, setting: str) -> None:
    model = MODELS[kind]()
    before = model.config._attn_implementation, model.training
    batch = {"input_ids": torch.tensor([[5, 6, 3]]), "labels": torch.tensor([0]), "rows": torch.tensor([0])}
    settings = Distillation(**{"logits": 0.0, setting: 1.0})
    if setting in LACKS[kind]:
        with pytest.raises(ConfigError, match=rf"model 'x' \({type(model).__name__}\) returns no .*distill_{setting} "):
            check_states(model, batch, settings, "x")
    else:
        check_states(model, batch, settings, "x")
    assert before == (model.config._attn_implementation, model.training)
