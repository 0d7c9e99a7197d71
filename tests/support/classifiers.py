"""Small classifiers whose layers are large enough to be computed sparse."""

from __future__ import annotations

import torch
from torch import nn

from randprune_lab.sparse import SparseLinear

TOKENS = torch.randint(5, 40, (2, 7), generator=torch.Generator().manual_seed(0))
BERT = {"vocab_size": 40, "hidden_size": 384, "num_hidden_layers": 1, "num_attention_heads": 6}


def classifier(name: str) -> nn.Module:
    import transformers as t

    torch.manual_seed(0)
    if name == "bert":
        return t.BertForSequenceClassification(t.BertConfig(**BERT, intermediate_size=1536)).eval()
    if name == "roberta":
        return t.RobertaForSequenceClassification(t.RobertaConfig(**BERT, intermediate_size=1536)).eval()
    if name == "distilbert":
        config = t.DistilBertConfig(vocab_size=40, dim=384, n_layers=1, n_heads=6, hidden_dim=1536)
        return t.DistilBertForSequenceClassification(config).eval()
    config = t.GPT2Config(vocab_size=40, n_embd=384, n_layer=2, n_head=6, eos_token_id=0, bos_token_id=0)
    return t.GPT2LMHeadModel(config).eval()


def sparse_layers(model: nn.Module) -> list[SparseLinear]:
    return [module for module in model.modules() if isinstance(module, SparseLinear)]


def same(one: dict, other: dict) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)
