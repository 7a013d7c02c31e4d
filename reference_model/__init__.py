"""A plain, readable Llama under nine parametrizations, written as a user's model would be.

Each attribute is a subject for ``umup-diag … --model reference_model:NAME``. SP and NTK are held to
µP's slopes, which they miss: that is what a coord check is for.
"""

from reference_model.subject import LlamaSubject
from umup_diag.scaling import schemes

__all__ = [
    "LlamaSubject",
    "completep",
    "depth_mup",
    "mean_field",
    "munit",
    "mup",
    "ntk",
    "sp",
    "spectral",
    "umup",
]

_RELATIVE = {
    "adam": 2.0**-13,
    "adamw": 2.0**-13,
    "sgd": 2.0**-8,
    "muon": 2.0**-6,
    "muon-kimi": 2.0**-11,
}
_UNIT = dict.fromkeys(_RELATIVE, 2.0**-4)
_ABSOLUTE = dict.fromkeys(_RELATIVE, 2.0**-7)

sp = LlamaSubject(scheme=schemes.SP, target="mup", learning_rates=_RELATIVE)
ntk = LlamaSubject(scheme=schemes.NTK, target="mup", learning_rates=_RELATIVE)
mup = LlamaSubject(scheme=schemes.MUP, target="mup", learning_rates=_RELATIVE)
mean_field = LlamaSubject(scheme=schemes.MEAN_FIELD, target="mean_field", learning_rates=_RELATIVE)
depth_mup = LlamaSubject(scheme=schemes.DEPTH_MUP, target="depth_mup", learning_rates=_RELATIVE)
completep = LlamaSubject(scheme=schemes.COMPLETEP, target="completep", learning_rates=_RELATIVE)
spectral = LlamaSubject(scheme=schemes.SPECTRAL, target="spectral", learning_rates=_RELATIVE)
munit = LlamaSubject(scheme=schemes.MUNIT, target="munit", learning_rates=_ABSOLUTE)
umup = LlamaSubject(scheme=schemes.UMUP, target="umup", learning_rates=_UNIT)
