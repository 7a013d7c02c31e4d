"""Hugging Face's own ``Trainer`` on a tiny Llama: what a step is, and that nothing changes."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.integrations.transformers import UmupDiagCallback
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import Frame, Recording
from umup_diag.scaling.kinds import Kind

BATCH, LENGTH, WIDTH = 2, 8, 16
LAYER = "model.layers.0.mlp.up_proj"


class Text(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Random tokens, the same each time."""

    def __init__(self) -> None:
        random = torch.Generator().manual_seed(1)
        self.tokens = torch.randint(0, 32, (64, LENGTH), generator=random)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, at: int) -> dict[str, Tensor]:
        return {"input_ids": self.tokens[at], "labels": self.tokens[at]}


def llama() -> nn.Module:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=WIDTH,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=LENGTH,
    )
    model: nn.Module = LlamaForCausalLM(config)
    return model


def trainer(here: Path, *callbacks: UmupDiagCallback, **arguments: Any) -> Any:
    chosen = {"max_steps": 4, "save_strategy": "no", "learning_rate": 1e-2, **arguments}
    return Trainer(
        model=llama(),
        args=TrainingArguments(
            output_dir=str(here / "out"),
            per_device_train_batch_size=BATCH,
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
            logging_strategy="no",
            **chosen,
        ),
        train_dataset=Text(),
        eval_dataset=Text(),
        callbacks=list(callbacks),
    )


def frames(folder: Path) -> list[Frame]:
    return Recording.load(folder).frames


def histogram(frame: Frame, kind: Kind, tensor: str = LAYER) -> CodeHistogram:
    (record,) = (r for r in frame.records if (r.tensor, r.kind) == (tensor, kind))
    return record.histogram


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"gradient_accumulation_steps": 2}, id="accumulation"),
        pytest.param({"bf16": True}, id="bf16"),
        pytest.param({"max_grad_norm": 1e-3}, id="clipping"),
        pytest.param({"eval_strategy": "steps", "eval_steps": 1}, id="evaluation"),
        pytest.param({"activation_checkpointing": True}, id="checkpointing"),
    ],
)
def test_it_counts_each_step_once_and_changes_no_bit(
    tmp_path: Path, arguments: dict[str, Any]
) -> None:
    bare = trainer(tmp_path, **arguments)
    watched = trainer(tmp_path, UmupDiagCallback(every=2, to=tmp_path / "run"), **arguments)
    for each in (bare, watched):
        each.train()
    pairs = zip(bare.model.parameters(), watched.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    recorded = frames(tmp_path / "run")
    assert [frame.step for frame in recorded] == [0, 2]
    micro_batches = arguments.get("gradient_accumulation_steps", 1)
    for frame in recorded:
        tokens = micro_batches * BATCH * LENGTH
        assert histogram(frame, Kind.INPUT).count == tokens * WIDTH
        assert histogram(frame, Kind.GRAD_OUTPUT).count == tokens * 24
    assert histogram(recorded[0], Kind.WEIGHT) != histogram(recorded[1], Kind.WEIGHT)
    assert not any(module._forward_pre_hooks for module in watched.model.modules())


def test_clipping_happens_after_what_is_recorded(tmp_path: Path) -> None:
    for name, norm in (("loose", 1e9), ("tight", 1e-9)):
        callback = UmupDiagCallback(every=1, to=tmp_path / name)
        trainer(tmp_path, callback, max_grad_norm=norm, max_steps=1).train()
    loose, tight = (frames(tmp_path / name) for name in ("loose", "tight"))
    assert loose == tight


def test_training_from_a_checkpoint_goes_on_with_the_recording(tmp_path: Path) -> None:
    saving = {"save_strategy": "steps", "save_steps": 3}
    trainer(tmp_path, UmupDiagCallback(every=2, to=tmp_path / "run"), max_steps=6, **saving).train()
    whole = frames(tmp_path / "run")
    again = trainer(tmp_path, UmupDiagCallback(every=2, to=tmp_path / "run"), max_steps=6, **saving)
    again.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-3"))
    assert [frame.step for frame in whole] == [0, 2, 4]
    assert frames(tmp_path / "run") == whole
    elsewhere = UmupDiagCallback(every=2, to=tmp_path / "elsewhere")  # where nothing is to continue
    trainer(tmp_path, elsewhere, max_steps=6, **saving).train(
        resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-3")
    )
    assert frames(tmp_path / "elsewhere") == whole[2:]


def test_a_tensor_near_a_limit_is_told_of_once_and_may_stop_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "umup_diag")
    callback = UmupDiagCallback(every=1, to=tmp_path / "run", limits=RangeSettings(formats="bf16"))
    calm = trainer(tmp_path, callback)
    calm.train()
    assert caplog.messages == []
    limits = RangeSettings(include=(LAYER,), underflow=1.0)
    callback = UmupDiagCallback(every=1, to=tmp_path / "run", limits=limits, stop=True)
    loud = trainer(tmp_path, callback)
    with torch.no_grad():
        loud.model.get_submodule(LAYER).weight[0, 0] = 300.0
    loud.train()
    near = [message for message in caplog.messages if f"{LAYER} (weight) near max" in message]
    assert len(near) == 1
    assert "step 0" in near[0]
    assert loud.state.global_step == 4  # near is not beyond
    with torch.no_grad():
        loud.model.get_submodule(LAYER).weight[0, 0] = 500.0
    loud.train()
    assert loud.state.global_step == 1
    assert any(f"{LAYER} (weight) overflow" in message for message in caplog.messages)
    assert "stopping" in caplog.messages[-1]
