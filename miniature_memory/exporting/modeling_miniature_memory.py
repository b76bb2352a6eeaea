"""model.py, which holds the architecture, as a model of Hugging Face's transformers.

export.py copies both files next to the weights: AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True).
"""

from dataclasses import fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from .model import GPT, GPTConfig, Rotary


class MiniatureMemoryConfig(PretrainedConfig):  # type: ignore[misc]
    """GPTConfig's fields under their own names."""

    model_type = "miniature_memory"
    attribute_map = {"hidden_size": "n_embd", "num_hidden_layers": "n_layer",  # noqa: RUF012 (as transformers has it)
                     "num_attention_heads": "n_head", "max_position_embeddings": "block_size"}

    def __init__(self, **values: object) -> None:
        for field in fields(GPTConfig):
            setattr(self, field.name, values.pop(field.name, field.default))
        super().__init__(**values)


class MiniatureMemoryForCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """Computes in float32. Generation reads the last block_size tokens again for each new one."""

    config_class = MiniatureMemoryConfig

    def __init__(self, config: MiniatureMemoryConfig) -> None:
        super().__init__(config)
        self.gpt = GPT(GPTConfig(**{field.name: getattr(config, field.name) for field in fields(GPTConfig)}))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Rotations are in no file: from_pretrained() leaves their memory as it was."""
        if isinstance(module, Rotary):
            turn = module.get_buffer("turn")
            turn.copy_(Rotary(2 * turn.size(1), turn.size(0)).get_buffer("turn"))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None,
                **_: object) -> CausalLMOutput:
        """Logits (B, T, V), and with `labels`, -100 for those that do not count, the mean loss of the next tokens.

        attention_mask: 0 for padding, on either side.
        """
        is_text = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        if is_text.all():
            logits = self.gpt(input_ids)
        else:  # n-grams and matches would see the padding, so each row is read without it
            logits = torch.zeros(*input_ids.shape, self.gpt.config.vocab_size, device=input_ids.device)
            for row, ids, kept in zip(logits, input_ids, is_text.bool(), strict=True):
                row[kept] = self.gpt(ids[None, kept])[0]
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return CausalLMOutput(loss=loss, logits=logits)

    def prepare_inputs_for_generation(self, input_ids: Tensor, attention_mask: Tensor | None = None,
                                      **_: object) -> dict[str, Tensor | None]:
        last = slice(-self.gpt.config.block_size, None)
        return {"input_ids": input_ids[:, last],
                "attention_mask": None if attention_mask is None else attention_mask[:, last]}
