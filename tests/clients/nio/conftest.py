"""Fixtures: matrix-nio clients that are registered on the server under test and cleaned up afterwards."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from person import Person  # noqa: E402

from harness.api import server_url  # noqa: E402

NewPerson = Callable[..., Awaitable[Person]]


@pytest_asyncio.fixture
async def person(tmp_path: Path) -> AsyncIterator[NewPerson]:
    """A function that makes a registered, syncing person: `alice = await person("alice")`."""
    made: list[Person] = []

    async def make(name: str, **kwargs: str) -> Person:
        someone = await Person.register(server_url(), name, tmp_path / f"{name}-{len(made)}")
        made.append(someone)
        return someone

    async def again(other: Person) -> Person:
        someone = await Person.login(server_url(), other, tmp_path / f"again-{len(made)}")
        made.append(someone)
        return someone

    make.again = again  # type: ignore[attr-defined]
    yield make
    for someone in made:
        await someone.client.close()


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The closing line every suite prints."""
    stats = terminalreporter.stats
    failed = len(stats.get("failed", [])) + len(stats.get("error", []))
    terminalreporter.write_line(f"{len(stats.get('passed', []))} passed, {failed} failed")
