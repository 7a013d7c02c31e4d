"""GPT-2 and Llama as Hugging Face ships them, from a config; nothing is downloaded.

`transformers` is imported when a model is built, so that all other families do without it.
"""

from typing import Any

from torch import nn

from benchmarks.verdicts.recipe import Family

VOCABULARY, HEAD_DIM, DEPTH = 256, 16, 2


def _usual(model: Any, width: int, multiplier: float = 1.0) -> nn.Module:
    model.width = width
    model.loss_multiplier = multiplier
    assert isinstance(model, nn.Module)
    return model


def gpt2(width: int) -> nn.Module:
    """Tied, as shipped. µP's readout multiplier stands in the loss."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=64,
        n_embd=width,
        n_layer=DEPTH,
        n_head=width // HEAD_DIM,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    multiplier = 8.0 / width  # µP's, for a readout that is also the embedding
    return _usual(GPT2LMHeadModel(config), width, multiplier)


def llama(width: int) -> nn.Module:
    """Untied, two queries to a key."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=DEPTH,
        num_attention_heads=width // HEAD_DIM,
        num_key_value_heads=width // HEAD_DIM // 2,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
        tie_word_embeddings=False,
    )
    return _usual(LlamaForCausalLM(config), width)


GPT2 = Family(
    name="hf-gpt2",
    network=gpt2,
    sizes={"transformer.wte": 0.5, "transformer.wpe": 0.5},
    layout={"*.c_attn": (1, (0,)), "*.c_proj": (1, (0,)), "*.c_fc": (1, (0,))},
)
LLAMA = Family(
    name="hf-llama",
    network=llama,
    sizes={"lm_head": 0.25},
    places={"lm_head": ("", "loss_multiplier")},
)
