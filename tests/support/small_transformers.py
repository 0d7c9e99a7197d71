"""Transformers with two layers, four heads of four and twelve neurons each, which differ, and large biases."""

from __future__ import annotations

import torch
from torch import nn

SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 12,
}
ARCHITECTURES = ("bert", "distilbert", "gpt2", "llama", "t5", "gated t5", "modernbert")


def transformer(name: str) -> nn.Module:
    import transformers as t

    if name == "bert":
        made = t.BertForSequenceClassification(t.BertConfig(**SIZES))
    elif name == "distilbert":
        config = t.DistilBertConfig(vocab_size=40, dim=16, n_layers=2, n_heads=4, hidden_dim=12)
        made = t.DistilBertForSequenceClassification(config)
    elif name == "gpt2":
        config = t.GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=4, n_inner=12, eos_token_id=0, bos_token_id=0)
        made = t.GPT2LMHeadModel(config)
    elif name == "modernbert":
        special = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0)
        biased = {"attention_bias": True, "mlp_bias": True}
        made = t.ModernBertForSequenceClassification(t.ModernBertConfig(**SIZES, **special, **biased))
    elif name == "llama":
        biased = {"attention_bias": True, "mlp_bias": True}
        made = t.LlamaForCausalLM(t.LlamaConfig(**SIZES, num_key_value_heads=2, **biased))
    else:
        projection = "gated-gelu" if name == "gated t5" else "relu"
        sizes = {"vocab_size": 40, "d_model": 16, "d_kv": 4, "d_ff": 12, "num_layers": 2, "num_heads": 4}
        config = t.T5Config(**sizes, decoder_start_token_id=0, feed_forward_proj=projection)
        made = t.T5ForConditionalGeneration(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.4, generator=generator)
            if parameter.ndim == 2 and len(parameter) % 4 == 0:
                scale = (0.7 * torch.randn(len(parameter) // 4, generator=generator)).exp()
                parameter.mul_(scale.repeat_interleave(4)[:, None])
    return made.eval()
