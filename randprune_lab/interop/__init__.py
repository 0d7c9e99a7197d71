"""Masks in the hands of others: the Trainer of transformers, the pruning tools of PyTorch, small files."""
