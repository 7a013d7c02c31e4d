"""Checkpoints whose every answer is known: tensors on either side of each threshold of E4M3."""

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.checkpoint.state_dict_saver import save as save_distributed

SIDE = 64
COUNT = SIDE * SIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A tensor and what must be found of it in E4M3FN."""

    values: Mapping[float, int]  # value → how often; 1.0 fills the rest
    flag: str
    underflow: int = 0
    subnormal: int = 0
    overflow: int = 0
    fill: float = 1.0

    def tensor(self, dtype: torch.dtype) -> Tensor:
        flat = torch.full((COUNT,), self.fill, dtype=torch.float64)
        at = 0
        for value, number in self.values.items():
            flat[at : at + number] = value
            at += number
        shuffled = flat[torch.randperm(COUNT, generator=torch.Generator().manual_seed(1))]
        return shuffled.view(SIDE, SIDE).to(dtype)


_TENTH = 409  # of 4096 is below a tenth, one more is above

PLANTED: Mapping[str, Planted] = {
    "ok.weight": Planted(values={0.0: 1000, -2.0: 7}, flag="ok"),
    "zeros.weight": Planted(values={}, fill=0.0, flag="all_zero"),
    "over.weight": Planted(values={480.0: 1}, flag="overflow", overflow=1),
    "over_negative.weight": Planted(values={-466.0: 3}, flag="overflow", overflow=3),
    "tie_at_464.weight": Planted(values={464.0: 5}, flag="near_max"),
    "octave_from_max.weight": Planted(values={224.0: 5}, flag="ok"),
    "nearer_than_that.weight": Planted(values={225.0: 5}, flag="near_max"),
    "below_a_tenth.weight": Planted(values={2.0**-10: _TENTH}, flag="ok", underflow=_TENTH),
    "above_a_tenth.weight": Planted(
        values={-(2.0**-10): _TENTH + 1}, flag="underflow", underflow=_TENTH + 1
    ),
    "kept_from_zero.weight": Planted(values={2.0**-10 * 1.0078125: 900}, flag="ok", subnormal=900),
    "octave_from_min.weight": Planted(values={}, fill=2.0**-5, flag="ok"),
    "lower_than_that.weight": Planted(values={}, fill=2.0**-5 * 0.99609375, flag="near_min_normal"),
    "half_subnormal.weight": Planted(values={2.0**-7: 2048}, flag="ok", subnormal=2048),
    "more_than_half.weight": Planted(
        values={2.0**-7: 2049}, flag="near_min_normal", subnormal=2049
    ),
    "nan.weight": Planted(values={float("nan"): 1}, flag="non_finite"),
}


def tensors(dtype: torch.dtype) -> dict[str, Tensor]:
    """All of them, and some that must not be judged."""
    found = {name: planted.tensor(dtype) for name, planted in PLANTED.items()}
    return {**found, "norm.weight": torch.full((SIDE,), 1e-9), "ids": torch.zeros(4, 4).long()}


def _safetensors(folder: Path, content: dict[str, Tensor]) -> Path:
    save_file(content, folder / "model.safetensors", metadata={"format": "pt"})
    return folder / "model.safetensors"


def _sharded(folder: Path, content: dict[str, Tensor]) -> Path:
    names = list(content)
    placed: dict[str, str] = {}
    for number in range(3):
        file = f"model-{number}.safetensors"
        save_file({name: content[name] for name in names[number::3]}, folder / file)
        placed |= dict.fromkeys(names[number::3], file)
    index: dict[str, Any] = {"metadata": {}, "weight_map": placed}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def _torch(folder: Path, content: dict[str, Tensor]) -> Path:
    state = {"a": {"exp_avg": torch.full((8, 8), 1e9)}}
    torch.save({**content, "optimizer": {"state": state}, "step": 3}, folder / "model.pt")
    return folder / "model.pt"


def _legacy(folder: Path, content: dict[str, Tensor]) -> Path:
    torch.save(content, folder / "old.pth", _use_new_zipfile_serialization=False)
    return folder / "old.pth"


def _distributed(folder: Path, content: dict[str, Tensor]) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it runs in one process
        save_distributed({**content, "step": 3}, checkpoint_id=folder / "dcp")
    return folder / "dcp"


#: Name of a file format → what saves a checkpoint in it and gives its path.
SAVERS: Mapping[str, Callable[[Path, dict[str, Tensor]], Path]] = {
    "safetensors": _safetensors,
    "sharded": _sharded,
    "torch": _torch,
    "legacy": _legacy,
    "distributed": _distributed,
}
