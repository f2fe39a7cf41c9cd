"""Kills the server with SIGKILL in the middle of heavy sending, again and again, and proves that nothing acknowledged was lost.

Usage: python run.py --server-bin target/release/haechi [--database postgres://…] [--kills 20]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from load import Load  # noqa: E402
from proof import Proof  # noqa: E402

from harness.api import Http  # noqa: E402
from harness.server import Server  # noqa: E402

PEOPLE, ROOMS, MEMBERS = 32, 8, 12
UP_SECS = (0.2, 1.5)
SETTLE_LIMIT_SECS = 60


async def crash(server: Server, kills: int) -> Proof:
    """The whole test on a server that was started."""
    http = Http(server.url)
    load = Load(http)
    try:
        await load.prepare(PEOPLE, ROOMS, MEMBERS)
        writers, readers = load.start()
        acknowledged: list[int] = []
        for number in range(kills):
            there = len(load.log.events)
            await asyncio.sleep(random.uniform(*UP_SECS))
            load.mark()
            acknowledged.append(len(load.log.events) - there)
            began = time.monotonic()
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            print(
                f"kill {number + 1} of {kills}: {acknowledged[-1]} messages acknowledged, back in {time.monotonic() - began:.2f} s",
                flush=True,
            )
        await asyncio.sleep(UP_SECS[1])
        load.sending = False
        await asyncio.wait_for(asyncio.gather(*writers), SETTLE_LIMIT_SECS)
        load.reading = False
        await asyncio.wait_for(asyncio.gather(*readers), SETTLE_LIMIT_SECS)
        for person in load.people:
            while await load.sync_once(person, wait_ms=0):
                pass
        log = load.log
        print(f"{len(log.events)} messages, {len(log.claimed)} keys, {log.retries} requests that had to be repeated")
        proof = Proof(load, acknowledged)
        await proof.run()
        return proof
    finally:
        await http.close()


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server-bin", required=True, help="the haechi binary")
    parser.add_argument("--database", help="its database URL; its own SQLite file when not given")
    parser.add_argument("--kills", type=int, default=20, help="how often the server is killed")
    parser.add_argument("--seed", type=int, default=None, help="for the same moments and choices again")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 32)
    random.seed(seed)
    print(f"seed {seed}")
    server = Server(arguments.server_bin, arguments.database)
    try:
        server.start()
        proof = asyncio.run(crash(server, arguments.kills))
        if proof.failures:
            print(f"\nthe end of the server's log:\n{server.log_end()}")
        print(f"\n{proof.passed} passed, {len(proof.failures)} failed")
        return 1 if proof.failures else 0
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main())
