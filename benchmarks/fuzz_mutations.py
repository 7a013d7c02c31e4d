"""Ways to damage a file: its bytes, and the structure of JSON, TOML and pickles.

Every mutation takes a source of chance and the bytes of a whole file, and returns others. Those of
a structure parse the file and write it again with one or a few nodes replaced, so that what is
wrong lies deep inside a file that is otherwise right; a file that does not parse is returned as is.
"""

import json
import pickletools
import random
import tomllib
from collections.abc import Callable
from typing import Any

Mutation = Callable[[random.Random, bytes], bytes]


class Raw(str):
    """JSON text that is written as it stands, valid or not."""

    __slots__ = ()


def _deep(dice: random.Random) -> Raw:
    depth = dice.choice((10, 500, 100_000))
    return Raw("[" * depth + "]" * depth)


#: What a node is replaced by; each takes chance, for sizes.
HOSTILE: tuple[Callable[[random.Random], Any], ...] = (
    lambda _: None,
    lambda _: True,
    lambda _: -1,
    lambda _: 0,
    lambda _: 2**63,
    lambda _: 2**64 + 1,
    lambda _: 0.5,
    lambda _: 1e308,
    lambda _: Raw("1e999"),
    lambda _: Raw("NaN"),
    lambda _: Raw("-Infinity"),
    lambda dice: Raw("9" * dice.choice((19, 400, 4301, 100_000))),
    lambda _: "",
    lambda _: "nan",
    lambda _: "inf",
    lambda _: Raw(r'"\ud800"'),
    lambda _: Raw(r'"a\u0000b"'),
    lambda _: "../../etc/passwd",
    lambda dice: "x" * dice.choice((300, 70_000)),
    lambda _: [],
    lambda _: {},
    lambda dice: [1] * dice.choice((3, 65, 100_000)),
    lambda dice: [2**62] * dice.choice((3, 65, 5_000)),
    lambda _: {"a": {"b": [1, "c", None]}},
    _deep,
)


def write(value: Any) -> str:
    """JSON with raw pieces, and with pairs in place of an object where a name comes twice."""
    match value:
        case Raw():
            return str(value)
        case dict():
            return (
                "{" + ",".join(f"{write(key)}:{write(item)}" for key, item in value.items()) + "}"
            )
        case list():
            return "[" + ",".join(map(write, value)) + "]"
        case _:
            return json.dumps(value)


def _nodes(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        node = waiting.pop()
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, item in items:
            found.append((node, key))
            if isinstance(item, dict | list):
                waiting.append(item)
    return found


def change(dice: random.Random, document: Any) -> Any:
    """Replace, remove, rename or repeat one to three nodes, in place."""
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        nodes = _nodes(document)
        if not nodes:
            return document
        container, key = dice.choice(nodes)
        match dice.randrange(6):
            case 0:
                del container[key]
            case 1 if isinstance(container, dict):
                container[dice.choice((Raw(r'"\ud8ff"'), "", "x" * 5000, Raw('"w"')))] = (
                    container.pop(key)
                )
            case 2:
                other, place = dice.choice(nodes)
                text = write(other.get(place) if isinstance(other, dict) else None)
                container[key] = None if "[[[" in text else Raw(text)
            case _:
                container[key] = dice.choice(HOSTILE)(dice)
    return document


def json_document(dice: random.Random, raw: bytes) -> bytes:
    """A file that is one JSON document."""
    return write(change(dice, json.loads(raw))).encode(errors="surrogatepass")


def json_lines(dice: random.Random, raw: bytes) -> bytes:
    """One line of a file of JSON lines; or a line is gone, there twice, or in another place."""
    lines = raw.decode().splitlines()
    at = dice.randrange(len(lines))
    match dice.randrange(8):
        case 0:
            del lines[at]
        case 1:
            lines.insert(dice.randrange(len(lines)), lines[at])
        case _:
            lines[at] = write(change(dice, json.loads(lines[at])))
    return ("\n".join(lines) + "\n").encode(errors="surrogatepass")


def safetensors_header(dice: random.Random, raw: bytes) -> bytes:
    """The header of a safetensors file, with its length put right."""
    length = int.from_bytes(raw[:8], "little")
    header = write(change(dice, json.loads(raw[8 : 8 + length]))).encode(errors="surrogatepass")
    return len(header).to_bytes(8, "little") + header + raw[8 + length :]


#: What a value of TOML is replaced by.
_TOML = (
    *("0", "-1", "true", "inf", "nan", "1979-05-27", "1979-05-27T07:32:00Z", '""', '"\\u0000"'),
    *("[]", "{}", "[[]]", '["a", 1]', "{a = {b = 1}}", '"x y"', '"https://example.org/x"', '"./x"'),
    *("9" * 5000, "9" * 400, "1e999", "[" * 400 + "]" * 400, "[" * 20_000 + "]" * 20_000),
    *(
        '"\\uDFFF"',
        "'''\n'''",
        "0x" + "f" * 9000,
        '["128..256"]',
        "128.5",
        "{depth = [1979-05-27]}",
    ),
)


def toml(dice: random.Random, raw: bytes) -> bytes:
    """A plan: another value, another key, a line gone, a table in a strange place."""
    lines = raw.decode().splitlines()
    assert tomllib.loads(raw.decode())
    for _ in range(dice.choice((1, 1, 2, 3))):
        at = dice.randrange(len(lines))
        key, equals, value = lines[at].partition("=")
        match dice.randrange(7):
            case 0:
                lines[at] = ""
            case 1:
                lines.insert(
                    at, dice.choice(("[x]", "[[exceptions]]", "[exceptions]", "[a.b]", "]"))
                )
            case 2 if equals:
                lines[at] = f"{dice.choice(('x', 'seeds', 'out', 'build', 'check'))} ={value}"
            case _ if equals:
                lines[at] = f"{key}= {dice.choice(_TOML)}"
            case _:
                lines.append(
                    f"{dice.choice(('exceptions', 'width', 'model'))} = {dice.choice(_TOML)}"
                )
    return "\n".join(lines).encode()


#: Pieces of pickles that are put between two instructions.
_DAG = b"K\x00" + b"2\x86" * 60  # a tuple of itself twice, 60 times
_OPCODES = (
    *(_DAG, _DAG + b"}" + _DAG + b"K\x00s0", b"}" + _DAG + b"K\x01s", b"\x8f", b"N", b"0", b"2"),
    *(b")", b"]", b"}", b"(", b"K\x05", b"\x8a\xff" + b"\x7f" * 255, b"\x85", b"\x86", b"R", b"b"),
    *(b"cos\nsystem\n", b"X\x03\x00\x00\x00abc", b"\x8c\x03\xed\xa0\x80", b"j\xff\xff\xff\x7f"),
    *(b"r\xff\xff\xff\x7f", b"\x88", b"G\x7f\xf0\x00\x00\x00\x00\x00\x00", b"u", b"s", b"e", b"Q"),
)


def pickled(dice: random.Random, raw: bytes) -> bytes:
    """A pickle: instructions gone, repeated, or others put between them."""
    places = [at for _, _, at in pickletools.genops(raw) if at is not None] + [len(raw)]
    for _ in range(dice.choice((1, 1, 2, 4))):
        first = dice.randrange(len(places) - 1)
        begin, end = places[first], places[min(len(places) - 1, first + dice.choice((1, 1, 3)))]
        match dice.randrange(4):
            case 0:
                raw = raw[:begin] + raw[end:]
            case 1:
                raw = raw[:end] + raw[begin:end] + raw[end:]
            case _:
                raw = raw[:begin] + dice.choice(_OPCODES) + raw[begin:]
        try:
            places = [at for _, _, at in pickletools.genops(raw) if at is not None] + [len(raw)]
        except ValueError:
            return raw
    return raw


def flip(dice: random.Random, raw: bytes) -> bytes:
    """A few bits."""
    changed = bytearray(raw)
    for _ in range(dice.choice((1, 2, 8, 64))):
        changed[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def at_an_end(dice: random.Random, raw: bytes) -> bytes:
    """Bytes near the start, where headers are, or near the end, where a zip's directory is."""
    changed, reach = bytearray(raw), min(len(raw), 1500)
    sign = dice.choice((1, -1))
    for _ in range(dice.choice((1, 3, 10))):
        at = dice.randrange(reach)
        changed[at if sign > 0 else -1 - at] = dice.randrange(256)
    return bytes(changed)


def cut(dice: random.Random, raw: bytes) -> bytes:
    """The end is missing."""
    return raw[: dice.randrange(len(raw))]


def remove(dice: random.Random, raw: bytes) -> bytes:
    """A piece is missing."""
    start = dice.randrange(len(raw))
    return raw[:start] + raw[start + dice.randrange(1, 200) :]


def repeat(dice: random.Random, raw: bytes) -> bytes:
    """A piece is there twice."""
    start = dice.randrange(len(raw))
    end = start + dice.randrange(1, 200)
    return raw[:end] + raw[start:end] + raw[end:]


def extreme(dice: random.Random, raw: bytes) -> bytes:
    """A number is as large as it can be, or zero."""
    width = dice.choice((1, 2, 4, 8))
    start = dice.randrange(max(1, len(raw) - width))
    return raw[:start] + dice.choice((b"\xff", b"\x7f", b"\0")) * width + raw[start + width :]


BYTES: tuple[Mutation, ...] = (flip, at_an_end, cut, remove, repeat, extreme)
