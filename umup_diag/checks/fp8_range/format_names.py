"""Names of formats as people write them, before anything of torch's is loaded."""

from umup_diag.errors import InputError
from umup_diag.numerics import formats

#: A width is no format: name → what is usually meant by it.
_FAMILIES = {
    "FP8": "e4m3fn for inputs and weights, e5m2 for gradients",
    "FP6": "mxfp6_e2m3 or e2m3, with less range mxfp6_e3m2 or e3m2",
    "FP4": "mxfp4 in blocks, or e2m1",
    "MX": "mxfp8, mxfp6_e2m3 or mxfp4",
}
_SYNONYMS = {
    "FLOAT8": "FP8",
    "F8": "FP8",
    "FLOAT6": "FP6",
    "F6": "FP6",
    "FLOAT4": "FP4",
    "F4": "FP4",
}


def upper(name: str) -> str:
    """The name as tables have it.

    Raises:
        InputError: if it is empty, or that of a family.
    """
    found = name.strip().upper().replace("-", "_")
    if not found:
        raise InputError("--formats has an empty name; write A,B,… such as e4m3fn,e5m2.")
    family = _SYNONYMS.get(found, found)
    if family in _FAMILIES:
        raise InputError(f"--formats {name}: which one? Usual are {_FAMILIES[family]}.")
    return found


def is_block(upper_name: str) -> bool:
    """Whether a name is that of a block format."""
    return upper_name.startswith(("MX", "NV"))


def precheck(setting: str) -> None:
    """Refuse a list with a name that is no format; block formats are looked up later.

    Raises:
        InputError: if there is one.
    """
    for name in setting.split(","):
        if not is_block(upper(name)):
            formats.get(name)
