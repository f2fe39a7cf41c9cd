"""Contract test: real requests for the operations of the client-server API, every answer checked against its schema.

Usage: HAECHI_URL=http://127.0.0.1:8008 HAECHI_SPEC=path/to/spec/data python run.py [--only PART_OF_A_NAME] [--list]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from contract import SCENARIOS, Contract, Missing, Stopped  # noqa: E402
from harness.api import Http, server_url  # noqa: E402
from scenarios import accounts, devices, errors, keys, media, messages, push, rooms, sliding, sync, users  # noqa: E402, F401
from spec import Spec  # noqa: E402

DEFAULT_SPEC = HERE.parents[2] / "shared/spec/matrix/data"


async def run(spec: Spec, only: str) -> Contract:
    """Walks through the scenarios, one after the other."""
    http = Http(server_url())
    contract = Contract(spec, http)
    try:
        for scenario in SCENARIOS:
            contract.place = f"{scenario.__module__.rpartition('.')[2]}.{scenario.__name__}"
            if only not in contract.place:
                continue
            try:
                await scenario(contract)
            except Missing as e:
                print(f"{contract.place}: left off at {e}, which the server does not know")
            except Stopped:
                pass
            except Exception as e:  # a broken scenario must not hide the others
                at = next((f for f in reversed(traceback.extract_tb(e.__traceback__)) if "scenarios" in f.filename), None)
                contract.fail(f"line {at.lineno if at else '?'} ({at.line if at else ''}) broke: {e!r:.300}")
    finally:
        await http.close()
    return contract


def report(contract: Contract) -> int:
    """Prints what was found; the exit code is 1 when anything did not fit."""
    operations = contract.spec.operations
    unimplemented = sorted(contract.unimplemented)
    unused = sorted(set(operations) - contract.used - contract.unimplemented)
    print(f"\nexercised: {len(contract.used)} of {len(operations)} operations")
    print(f"not yet implemented (M_UNRECOGNIZED): {len(unimplemented)}")
    for name in unimplemented:
        print(f"  {name}  {operations[name].method} {operations[name].path}")
    print(f"without a request: {len(unused)}")
    for name in unused:
        print(f"  {name}  {operations[name].method} {operations[name].path}")
    if contract.failures:
        print("\nfailures:")
        for failure in contract.failures:
            print(f"  {failure}")
    print(f"\n{contract.passed} passed, {len(contract.failures)} failed")
    return 1 if contract.failures else 0


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only scenarios whose name holds this")
    parser.add_argument("--list", action="store_true", help="name the scenarios and stop")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(f"{s.__module__.rpartition('.')[2]}.{s.__name__}" for s in SCENARIOS))
        return 0
    root = Path(os.environ.get("HAECHI_SPEC", DEFAULT_SPEC))
    if not (root / "api/client-server").is_dir():
        print(f"contract test skipped: no Matrix spec at HAECHI_SPEC={root}")
        print("0 passed, 0 failed")
        return 0
    return report(asyncio.run(run(Spec(root), arguments.only)))


if __name__ == "__main__":
    sys.exit(main())
