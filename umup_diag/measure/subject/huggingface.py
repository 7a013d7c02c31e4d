"""A model of Hugging Face's at any width: its configuration with the width's dependents filled in.

Nothing is downloaded: weights are drawn as the model's own class draws them. The head dimension
stays as it is, so that heads grow in number, as in µP; whatever the default makes a multiple of the
hidden size stays that multiple.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from umup_diag.errors import InputError
from umup_diag.measure.data.corpus import BYTES

HEAD_DIM = 16  #: of a class: small, so that few widths are too narrow
LAYERS = 2  #: of a class

#: Sizes that grow with the hidden size, by the names that configurations have for them.
_PROPORTIONAL = (
    *("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_ff", "word_embed_proj_dim"),
    *("moe_intermediate_size", "shared_expert_intermediate_size", "encoder_ffn_dim"),
    *("decoder_ffn_dim", "lru_width"),
)
_HEADS = "num_attention_heads"
_KV_HEADS = ("num_key_value_heads", "num_kv_heads")
_HEAD_DIM = ("head_dim", "d_kv")
_LAYERS = ("num_hidden_layers", "num_decoder_layers")
_DEPTH = "depth"  #: what an axis calls the number of layers, whatever the configuration does
_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")


def is_huggingface(source: Any) -> bool:
    """Whether it is a configuration, a configuration's class, or a model's class, of theirs."""
    if "transformers" not in sys.modules:
        return False
    import transformers

    theirs = transformers.PretrainedConfig, transformers.PreTrainedModel
    if isinstance(source, type):
        return issubclass(source, theirs)
    return isinstance(source, theirs[0])


class HuggingFace:
    """What builds it.

    Args:
        source: a configuration, whose depth, vocabulary and head dimension stay; or a class, which
            gets few layers and a vocabulary of bytes.
        given: entries of the configuration that the user sets.
        path: what the user calls it.
    """

    def __init__(self, source: Any, given: Mapping[str, Any], *, path: str) -> None:
        import transformers

        self._path, self._given = path, dict(given)
        is_class = isinstance(source, type)
        self._model: Any = None
        if is_class and issubclass(source, transformers.PreTrainedModel):
            self._model, source = source, source.config_class
            if source is None:
                raise InputError(f"--model {path}: {path} names no configuration.")
        self._is_class = is_class
        self._base = source() if is_class else source
        self._config: Any = source if is_class else type(source)
        self._entries: Mapping[str, Any] = self._base.to_dict()

    def __call__(self, width: int, **sizes: int) -> nn.Module:
        """Build at one width, with other entries of the configuration; ``depth`` is any's layers.

        Raises:
            InputError: if heads do not fit into the width, or if it is no language model.
        """
        import transformers

        config = self.config(width, **sizes)
        if self._model is not None:
            model: nn.Module = self._model(config)
        elif type(config) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING:
            model = transformers.AutoModelForCausalLM.from_config(config)
        else:
            raise InputError(
                f"--model {self._path}: {type(config).__name__} has no causal language model; name "
                "the model's class instead."
            )
        if isinstance(model, transformers.PreTrainedModel) and not _predicts(model):
            raise InputError(
                f"--model {self._path}: {type(model).__name__} has no head to predict tokens with; "
                "name the class that has, such as …ForCausalLM."
            )
        return model

    def config(self, width: int, **sizes: int) -> Any:
        """The configuration at one width, and with other entries."""
        filled = dict(self._filled(width))
        if _DEPTH in sizes and not self._has(_DEPTH):
            depth = sizes.pop(_DEPTH)
            filled |= {self._name(name): depth for name in _LAYERS if self._has(name)}
        for name in sizes:
            if not self._has(name):
                raise InputError(f"--model {self._path}: {self._config.__name__} has no {name}.")
        filled |= sizes
        if self._is_class:
            return self._config(**filled)
        return self._config.from_dict({**self._entries, **filled})

    def filled_in(self) -> str:
        """What was filled in, in words."""
        hidden = self._name("hidden_size")
        ratios = [
            f"{name} = {self._base_of(name) / self._base_of(hidden):g}·width"
            for name in self._proportional()
        ]
        fixed = dict(self._fixed())
        parts = [f"{hidden} = width", *ratios]
        if self._heads() is not None:
            parts.append(f"heads of {self._head_dim()} each")
        parts += [f"{name} = {value}" for name, value in fixed.items() if name not in _TOKENS]
        return f"{self._config.__name__} with {', '.join(parts)}; all else as it comes."

    def _filled(self, width: int) -> Iterator[tuple[str, Any]]:
        hidden = self._name("hidden_size")
        yield hidden, width
        for name in self._proportional():
            yield name, round(width * self._base_of(name) / self._base_of(hidden))
        heads, size = self._heads(), self._head_dim()
        if heads is not None:
            if width % size:
                raise InputError(
                    f"--model {self._path}: width {width} is no multiple of the head dimension, "
                    f"{size}; give --widths that are."
                )
            yield heads, width // size
            for name in _KV_HEADS:
                if self._has(name):
                    shared = max(self._base_of(heads) // self._base_of(name), 1)
                    yield name, max(width // size // shared, 1)
            for name in _HEAD_DIM:
                if self._has(name):
                    yield self._name(name), size
            if self._has("rotary_dim"):  # of each head, so no more than it has
                yield "rotary_dim", min(self._base_of("rotary_dim"), size)
        yield from self._fixed()

    def _fixed(self) -> Iterator[tuple[str, Any]]:
        """What does not go with the width."""
        if self._is_class:
            for name in _LAYERS:
                if self._has(name):
                    yield self._name(name), LAYERS
            vocabulary = self._given.get("vocab_size", BYTES)
            if self._has("vocab_size"):
                yield "vocab_size", vocabulary
                for name in _TOKENS:  # an embedding's padding index must lie inside
                    token = getattr(self._base, name, None)
                    if isinstance(token, int) and token >= vocabulary:
                        yield name, None
        yield from self._given.items()

    def _proportional(self) -> list[str]:
        taken = {*self._given}
        return [name for name in _PROPORTIONAL if self._has(name) and name not in taken]

    def _heads(self) -> str | None:
        return self._name(_HEADS) if self._has(_HEADS) else None

    def _head_dim(self) -> int:
        if "head_dim" in self._given:
            return int(self._given["head_dim"])
        if self._is_class:
            return HEAD_DIM
        named = next((getattr(self._base, n) for n in _HEAD_DIM if self._has(n)), None)
        heads = self._heads()
        return int(named or (self._base.hidden_size // self._base_of(heads) if heads else 1))

    def _name(self, name: str) -> str:
        """What this configuration calls it."""
        return str(self._config.attribute_map.get(name, name))

    def _has(self, name: str) -> bool:
        return isinstance(self._entries.get(self._name(name)), int)

    def _base_of(self, name: str) -> int:
        return int(getattr(self._base, name))


def _predicts(model: Any) -> bool:
    return model.get_output_embeddings() is not None
