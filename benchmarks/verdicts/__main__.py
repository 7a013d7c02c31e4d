"""Run the check on every case, and make the table.

``python -m benchmarks.verdicts [--split dev] [--only PATTERN] [--jobs 2] [--out FILE]
[--keep DIR]``

Each case's outcome is appended to FILE as one line of JSON; cases that stand there already are not
run again. With ``--list`` nothing is run and the cases are listed with their commands.
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from fnmatch import fnmatchcase
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.manifest import cases
from benchmarks.verdicts.verdict import (
    Outcome,
    cause_is_right,
    power_is_right,
    run_by_name,
    tensor_is_right,
)
from umup_diag.checks.coordcheck.settings import SeedCount

Results = Sequence[tuple[Case, Outcome]]


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=[str(split) for split in Split], default="dev")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="of names")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("verdicts.jsonl"))
    parser.add_argument("--seeds", type=SeedCount().parse, help="a number, or auto")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="recordings, to judge them again")
    parser.add_argument(
        "--mup", type=Path, metavar="FILE", help="readings of peer_mup, beside ours"
    )
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    chosen = [c for c in cases(options.split) if fnmatchcase(c.name, options.only)]
    if options.list:
        for case in chosen:
            print(case.command)
        return
    known = _read(options.out)
    missing = [c.name for c in chosen if c.name not in known]
    ask = partial(run_by_name, seeds=options.seeds, keep=options.keep)
    _run_missing(missing, ask, options.jobs, options.out)
    known = _read(options.out)
    _print([(case, known[case.name]) for case in chosen])
    if options.mup:
        _print_peer(chosen, options.mup)


def _read(path: Path) -> Mapping[str, Outcome]:
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line.pop("name"): Outcome.decode(line) for line in lines}


def _run_missing(
    names: Sequence[str], ask: Callable[[str], tuple[str, Outcome]], jobs: int, path: Path
) -> None:
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool, path.open("a") as out:
        for done, (name, outcome) in enumerate(pool.map(ask, names), 1):
            out.write(json.dumps({"name": name, **outcome.document()}) + "\n")
            out.flush()
            print(f"{done}/{len(names)} {name}: {outcome.verdict or outcome.error}", flush=True)


def _print(results: Results) -> None:
    for title, key in (("all", lambda _: "all"), ("family", _family), ("optimizer", _optimizer)):
        groups: dict[str, list[tuple[Case, Outcome]]] = defaultdict(list)
        for case, outcome in results:
            groups[key(case)].append((case, outcome))
        print(f"\nby {title}")
        for name, members in groups.items():
            print(f"  {name:18} {_healthy(members)}   {_faults(members)}")
    print("\nmisses")
    for case, outcome in results:
        if missed := _missed(case, outcome):
            print(f"  {case.name}: {missed}")


def _print_peer(chosen: Sequence[Case], path: Path) -> None:
    from benchmarks.verdicts import peer_mup  # needs the mup package

    readings = peer_mup.read_all(path)
    print("\nmup's own check of the same models")
    print("  " + peer_mup.column([(c, readings[c.name]) for c in chosen if c.name in readings]))


def _family(case: Case) -> str:
    return case.family


def _optimizer(case: Case) -> str:
    return case.optimizer


def _healthy(results: Iterable[tuple[Case, Outcome]]) -> str:
    count = Counter(outcome.verdict or "error" for case, outcome in results if case.healthy)
    return (
        f"healthy {count.total():3}: {count['PASS']:3} pass {count['FAIL']:3} fail "
        f"{count['INCONCLUSIVE']:3} inconclusive {count['error']:3} error"
    )


def _faults(results: Iterable[tuple[Case, Outcome]]) -> str:
    seen = [(c, o) for c, o in results if c.fault and not c.fault.invisible]
    count: Counter[str] = Counter()
    for case, outcome in seen:
        count["detected"] += outcome.verdict == "FAIL"
        count["tensor"] += tensor_is_right(case, outcome.first_tensor)
        count["cause"] += cause_is_right(case, outcome.cause)
        count["power"] += power_is_right(case, outcome)
        count["blaming"] += any(not tensor_is_right(case, each) for each in outcome.blamed)
    return (
        f"faults {len(seen):3}: {count['detected']:3} detected, right: {count['tensor']:3} tensor "
        f"{count['cause']:3} cause {count['power']:3} power; {count['blaming']:3} blame innocents"
    )


def _missed(case: Case, outcome: Outcome) -> str:
    said = outcome.error or (
        f"{outcome.verdict} {outcome.first_tensor} {outcome.cause} {outcome.power}"
    )
    if case.fault is None:
        return "" if outcome.verdict == "PASS" else said
    if case.fault.invisible:
        return f"invisible ({case.fault.invisible}); said: {said}"
    right = (
        tensor_is_right(case, outcome.first_tensor)
        and cause_is_right(case, outcome.cause)
        and power_is_right(case, outcome)
    )
    truth = f"{', '.join(case.fault.tensors)} {dict(case.fault.causes)}"
    innocents = [each for each in outcome.blamed if not tensor_is_right(case, each)]
    blamed = f"; innocents blamed: {', '.join(innocents)}" if innocents else ""
    return "" if right and not innocents else f"{said}; truth: {truth}{blamed}"


if __name__ == "__main__":
    main()
