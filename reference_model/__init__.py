"""A plain, readable Llama under five parametrizations, written as a user's model would be.

Each attribute is a subject for ``umup-diag … --model reference_model:NAME``. SP and NTK are held to
µP's slopes, which they miss: that is what a coord check is for.
"""

from reference_model.subject import LlamaSubject
from umup_diag.scaling.schemes import DEPTH_MUP, MUP, NTK, SP, UMUP

__all__ = ["LlamaSubject", "depth_mup", "mup", "ntk", "sp", "umup"]

_RELATIVE = {"adam": 2.0**-13, "adamw": 2.0**-13, "sgd": 2.0**-8}
_UNIT = {"adam": 2.0**-4, "adamw": 2.0**-4, "sgd": 2.0**-4}

sp = LlamaSubject(scheme=SP, target="mup", learning_rates=_RELATIVE)
ntk = LlamaSubject(scheme=NTK, target="mup", learning_rates=_RELATIVE)
mup = LlamaSubject(scheme=MUP, target="mup", learning_rates=_RELATIVE)
depth_mup = LlamaSubject(scheme=DEPTH_MUP, target="depth_mup", learning_rates=_RELATIVE)
umup = LlamaSubject(scheme=UMUP, target="umup", learning_rates=_UNIT)
