"""Somebody with a matrix-nio client: short words for what the tests do all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nio
from harness.api import PASSWORD, unique

LIMIT_SECS = 30


class Person:
    """One user on one device. Syncs are made by hand, so every test says what it waits for."""

    def __init__(self, client: nio.AsyncClient, name: str) -> None:
        self.client = client
        self.name = name
        self.events: list[tuple[nio.MatrixRoom, nio.Event]] = []
        self.ephemeral: list[nio.EphemeralEvent] = []
        self.to_device: list[Any] = []
        self.left: set[str] = set()
        client.add_event_callback(lambda room, event: self.events.append((room, event)), nio.Event)
        client.add_ephemeral_callback(lambda room, event: self.ephemeral.append(event), nio.EphemeralEvent)
        client.add_to_device_callback(self.to_device.append, None)

    @staticmethod
    def _client(url: str, name: str, store: Path) -> nio.AsyncClient:
        store.mkdir(parents=True)
        settings = nio.AsyncClientConfig(encryption_enabled=True, request_timeout=LIMIT_SECS, max_timeouts=1)
        return nio.AsyncClient(url, name, store_path=str(store), config=settings)

    @classmethod
    async def register(cls, url: str, prefix: str, store: Path) -> Person:
        """A new account, its keys uploaded."""
        name = unique(prefix)
        client = cls._client(url, name, store)
        done(await client.register(name, PASSWORD), nio.RegisterResponse)
        person = cls(client, name)
        await person.sync()
        return person

    @classmethod
    async def login(cls, url: str, other: Person, store: Path) -> Person:
        """The same account on a further device."""
        client = cls._client(url, other.name, store)
        done(await client.login(PASSWORD, device_name="another"), nio.LoginResponse)
        person = cls(client, other.name)
        await person.sync()
        return person

    @property
    def id(self) -> str:
        """The user id."""
        return self.client.user_id

    async def sync(self, timeout_ms: int = 0) -> nio.SyncResponse:
        """One /sync with all that a bot would do after it: upload, query and claim keys."""
        answer = done(await self.client.sync(timeout=timeout_ms, full_state=not self.client.next_batch), nio.SyncResponse)
        self.left |= set(answer.rooms.leave)
        await self.client.send_to_device_messages()
        if self.client.should_upload_keys:
            done(await self.client.keys_upload(), nio.KeysUploadResponse)
        if self.client.should_query_keys:
            done(await self.client.keys_query(), nio.KeysQueryResponse)
        if self.client.should_claim_keys:
            done(await self.client.keys_claim(self.client.get_users_for_key_claiming()), nio.KeysClaimResponse)
        return answer

    async def until(self, holds: Callable[[], Any], what: str) -> Any:
        """Syncs until `holds` gives something true, and returns that."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LIMIT_SECS
        while not (found := holds()):
            assert loop.time() < deadline, f"{self.name} waited in vain for: {what}"
            await self.sync(1_000)
        return found

    async def until_message(self, body: str) -> nio.Event:
        """Syncs until a message with this text is there, and returns its event."""

        def find() -> nio.Event | None:
            return next((e for _, e in self.events if getattr(e, "body", None) == body), None)

        return await self.until(find, f"the message {body!r}")

    async def create_room(self, *others: Person, encrypted: bool = False, **settings: Any) -> str:
        """A room that these others have joined; everyone's client knows it."""
        if encrypted:
            settings["initial_state"] = [{"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}]
        answer = done(await self.client.room_create(invite=[o.id for o in others], **settings), nio.RoomCreateResponse)
        room_id = answer.room_id
        for other in others:
            await other.until(lambda o=other: room_id in o.client.invited_rooms, "the invite")
            done(await other.client.join(room_id), nio.JoinResponse)
        everyone = {self.id, *(o.id for o in others)}
        for one in (self, *others):
            await one.until(lambda o=one: o.knows(room_id, everyone), "all members")
        return room_id

    def knows(self, room_id: str, members: set[str]) -> bool:
        """Whether this client has the room with exactly these joined members."""
        room = self.client.rooms.get(room_id)
        return room is not None and set(room.users) - set(room.invited_users) == members

    async def say(self, room_id: str, body: str, **content: Any) -> str:
        """Sends a text message, encrypted if the room is, and returns the event id."""
        return await self.send(room_id, {"msgtype": "m.text", "body": body} | content)

    async def send(self, room_id: str, content: dict[str, Any], kind: str = "m.room.message") -> str:
        """Sends an event and returns its id."""
        answer = await self.client.room_send(room_id, kind, content, ignore_unverified_devices=True)
        return done(answer, nio.RoomSendResponse).event_id


def done(answer: Any, kind: type) -> Any:
    """The answer, if it is of the kind that means success."""
    assert isinstance(answer, kind), f"expected {kind.__name__}, got {answer}"
    return answer
