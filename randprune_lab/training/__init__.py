"""One model, one mask, one task: fine-tuning, distillation, scoring."""
