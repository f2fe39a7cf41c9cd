"""Three clients in one room: matrix-nio, matrix-js-sdk and matrix-sdk read one another, in plain and in encrypted rooms.

Usage: HAECHI_URL=http://127.0.0.1:8008 python run.py --js "node talk.mjs" --rust "matrix-sdk-client talk"
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "nio")]

import nio  # noqa: E402
from person import Person, done  # noqa: E402

from harness.api import server_url, unique  # noqa: E402

ANSWER_LIMIT_SECS = 90
ROUNDS = 3


class Talker(Protocol):
    """A client that can be told what to do."""

    name: str

    async def tell(self, what: str, **arguments: Any) -> Any:
        """Does it, and returns what comes of it."""


class Child:
    """A client in a process of its own, which obeys JSON lines."""

    def __init__(self, name: str, command: str) -> None:
        self.name = name
        self._command = shlex.split(command)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts the process."""
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe, limit=1 << 20)

    async def tell(self, what: str, **arguments: Any) -> Any:
        """Sends one command and waits for its answer."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({"do": what} | arguments).encode() + b"\n")
        await process.stdin.drain()
        line = await asyncio.wait_for(process.stdout.readline(), ANSWER_LIMIT_SECS)
        assert line, f"{self.name} ended"
        answer = json.loads(line)
        assert "error" not in answer, f"{self.name}: {what}: {answer['error']}"
        return answer["ok"]

    async def close(self) -> None:
        """Ends the process."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


class InProcess:
    """matrix-nio, here."""

    name = "nio"

    def __init__(self, store: Path) -> None:
        self._store = store
        self.person: Person | None = None

    async def tell(self, what: str, **arguments: Any) -> Any:
        """The same commands as `Child` has."""
        return await getattr(self, what)(**arguments)

    async def register(self, name: str) -> str:
        self.person = await Person.register(server_url(), name, self._store / name)
        return self.person.id

    async def create(self, invite: list[str], encrypted: bool) -> str:
        content = {"algorithm": "m.megolm.v1.aes-sha2"}
        state = [{"type": "m.room.encryption", "state_key": "", "content": content}] if encrypted else []
        answer = await self.person.client.room_create(invite=invite, initial_state=state, name=unique("cross"))
        return done(answer, nio.RoomCreateResponse).room_id

    async def ready(self, room: str, members: int, encrypted: bool) -> None:
        def all_there() -> bool:
            there = self.person.client.rooms.get(room)
            return there is not None and len(there.users) - len(there.invited_users) == members and there.encrypted == encrypted

        await self.person.until(all_there, f"{members} members")

    async def say(self, room: str, body: str) -> str:
        return await self.person.say(room, body)

    async def hear(self, room: str, body: str) -> None:
        await self.person.until_message(body)

    async def texts(self, room: str) -> list[str]:
        return [e.body for r, e in self.person.events if r.room_id == room and isinstance(e, nio.RoomMessageText)]


async def chat(nio_client: InProcess, others: list[Child], encrypted: bool) -> None:
    """Everybody speaks in turn, everybody hears everything, in the same order."""
    everyone: list[Talker] = [nio_client, *others]
    ids = {t.name: await t.tell("register", name=unique(t.name).lower()) for t in everyone}
    room = await nio_client.create([ids[o.name] for o in others], encrypted)
    for other in others:
        await other.tell("join", room=room)
    for talker in everyone:
        await talker.tell("ready", room=room, members=len(everyone), encrypted=encrypted)
    spoken = []
    for number in range(ROUNDS):
        for speaker in everyone:
            body = f"{speaker.name} speaks, round {number}"
            await speaker.tell("say", room=room, body=body)
            spoken.append(body)
            await asyncio.gather(*(t.tell("hear", room=room, body=body) for t in everyone))
    for talker in everyone:
        texts = await talker.tell("texts", room=room)
        assert texts == spoken, f"{talker.name} saw {texts}"


async def at_once(nio_client: InProcess, others: list[Child]) -> None:
    """All speak at the same time; the order is the server's, and the same for all."""
    everyone: list[Talker] = [nio_client, *others]
    ids = {t.name: await t.tell("register", name=unique(t.name).lower()) for t in everyone}
    room = await nio_client.create([ids[o.name] for o in others], False)
    for other in others:
        await other.tell("join", room=room)
    for talker in everyone:
        await talker.tell("ready", room=room, members=len(everyone), encrypted=False)
    bodies = []
    for number in range(ROUNDS):
        bodies += [f"{t.name} at once {number}" for t in everyone]
        await asyncio.gather(*(t.tell("say", room=room, body=f"{t.name} at once {number}") for t in everyone))
    for talker in everyone:
        for body in bodies:
            await talker.tell("hear", room=room, body=body)
    orders = {t.name: await t.tell("texts", room=room) for t in everyone}
    assert sorted(orders["nio"]) == sorted(bodies), f"nio saw {orders['nio']}"
    assert all(order == orders["nio"] for order in orders.values()), f"the orders differ: {orders}"


async def run(js: str, rust: str) -> int:
    """Runs each test with clients of its own; returns how many failed."""
    tests = {
        "three clients chat in a plain room": lambda n, o: chat(n, o, encrypted=False),
        "three clients chat in an encrypted room": lambda n, o: chat(n, o, encrypted=True),
        "three clients speak at once and agree on the order": at_once,
    }
    failed = 0
    for name, test in tests.items():
        others = [Child("js", js), Child("rust", rust)]
        with tempfile.TemporaryDirectory(prefix="haechi-cross-") as store:
            nio_client = InProcess(Path(store))
            try:
                for other in others:
                    await other.start()
                await test(nio_client, others)
                print(f"ok      {name}", flush=True)
            except Exception:  # one broken test must not hide the others
                failed += 1
                print(f"FAILED  {name}\n{traceback.format_exc(limit=-2)}", flush=True)
            finally:
                for other in others:
                    await other.close()
                if nio_client.person:
                    await nio_client.person.client.close()
    print(f"{len(tests) - failed} passed, {failed} failed")
    return failed


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--js", required=True, help="how to start the matrix-js-sdk client")
    parser.add_argument("--rust", required=True, help="how to start the matrix-sdk client")
    arguments = parser.parse_args()
    os.environ.setdefault("NODE_NO_WARNINGS", "1")
    return 1 if asyncio.run(run(arguments.js, arguments.rust)) else 0


if __name__ == "__main__":
    sys.exit(main())
