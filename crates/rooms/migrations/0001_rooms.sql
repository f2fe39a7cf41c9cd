-- A room and its head. An append locks this row, so the numbers in it are exact.
CREATE TABLE room (
    nid {identity},
    room_id TEXT NOT NULL UNIQUE,
    version TEXT NOT NULL,
    -- number, id, depth and stream position of the last event
    seq BIGINT NOT NULL,
    head_event TEXT NOT NULL,
    depth BIGINT NOT NULL,
    head_pos BIGINT NOT NULL,
    -- grows with every state event; what rules were checked against
    state_version BIGINT NOT NULL,
    -- running counts of events that notify by the default rules: all, and those outside threads
    notify_total BIGINT NOT NULL,
    notify_main BIGINT NOT NULL,
    -- when the last event was sent that lifts the room in a room list
    bump_at BIGINT NOT NULL,
    -- shown in the public directory?
    published BIGINT NOT NULL DEFAULT 0 CHECK (published IN (0, 1))
) {strict};

CREATE INDEX room_published ON room (nid) WHERE published = 1;

-- Every event, whole. `seq` counts inside the room, `pos` is its place in a lane.
CREATE TABLE event (
    pos BIGINT PRIMARY KEY,
    room BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    event_id TEXT NOT NULL UNIQUE,
    sender BIGINT NOT NULL,
    type TEXT NOT NULL,
    state_key TEXT,
    origin_server_ts BIGINT NOT NULL,
    -- the room's running counts with this event included
    notify_total BIGINT NOT NULL,
    notify_main BIGINT NOT NULL,
    -- is it one of those counted?
    counted BIGINT NOT NULL CHECK (counted IN (0, 1)),
    -- id of the thread's first event, when it is in a thread
    thread_root TEXT,
    -- the sender's device and its transaction id: the same request again is the same event
    txn_device TEXT,
    txn_id TEXT,
    -- position of the redaction, once redacted; `json` is then the redacted form
    redacted_by BIGINT,
    json BYTEA NOT NULL,
    UNIQUE (room, seq)
) {strict};

CREATE UNIQUE INDEX event_txn ON event (sender, txn_device, txn_id, room) WHERE txn_id IS NOT NULL;
CREATE INDEX event_redacted ON event (room, seq) WHERE redacted_by IS NOT NULL;
CREATE INDEX event_thread ON event (room, thread_root, seq) WHERE thread_root IS NOT NULL;

-- Current state.
CREATE TABLE room_state (
    room BIGINT NOT NULL,
    type TEXT NOT NULL,
    state_key TEXT NOT NULL,
    seq BIGINT NOT NULL,
    pos BIGINT NOT NULL,
    PRIMARY KEY (room, type, state_key)
) {clustered};

-- Every change of state: the state at any point is the latest delta at or before it.
CREATE TABLE state_delta (
    room BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    type TEXT NOT NULL,
    state_key TEXT NOT NULL,
    pos BIGINT NOT NULL,
    -- sequence number of what it replaced, if anything
    replaces_seq BIGINT,
    -- of m.room.member the membership, of m.room.history_visibility its value
    value TEXT,
    PRIMARY KEY (room, seq)
) {clustered};

CREATE INDEX state_delta_key ON state_delta (room, type, state_key, seq);

-- Who is what in which room; one row for each pair that ever had a membership.
CREATE TABLE member (
    room BIGINT NOT NULL,
    user_nid BIGINT NOT NULL,
    membership TEXT NOT NULL,
    -- the membership event
    seq BIGINT NOT NULL,
    pos BIGINT NOT NULL,
    -- did the user ask not to see the room any more?
    forgotten BIGINT NOT NULL DEFAULT 0 CHECK (forgotten IN (0, 1)),
    PRIMARY KEY (room, user_nid)
) {clustered};

CREATE INDEX member_user ON member (user_nid, membership, room);

-- How far a user has read: one row for each (room, user, thread). '' is the whole room.
CREATE TABLE read_state (
    room BIGINT NOT NULL,
    user_nid BIGINT NOT NULL,
    thread TEXT NOT NULL,
    seq BIGINT NOT NULL,
    notify_total BIGINT NOT NULL,
    notify_main BIGINT NOT NULL,
    PRIMARY KEY (room, user_nid, thread)
) {clustered};

-- Receipts as clients see them. `kind` is m.read or m.read.private; '' is no thread.
CREATE TABLE receipt (
    room BIGINT NOT NULL,
    user_nid BIGINT NOT NULL,
    kind TEXT NOT NULL,
    thread TEXT NOT NULL,
    event_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    pos BIGINT NOT NULL,
    PRIMARY KEY (room, user_nid, kind, thread)
) {clustered};

CREATE INDEX receipt_pos ON receipt (room, pos);

-- Events that notify a user otherwise than the default rules would: mentions, keywords, own rules.
CREATE TABLE push_action (
    room BIGINT NOT NULL,
    user_nid BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    -- +1 notifies though it is not counted, -1 does not though it is, 0 as counted
    notify BIGINT NOT NULL,
    highlight BIGINT NOT NULL CHECK (highlight IN (0, 1)),
    thread_root TEXT,
    PRIMARY KEY (user_nid, room, seq)
) {clustered};

-- What refers to what.
CREATE TABLE relation (
    room BIGINT NOT NULL,
    parent TEXT NOT NULL,
    rel_type TEXT NOT NULL,
    seq BIGINT NOT NULL,
    pos BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    sender BIGINT NOT NULL,
    type TEXT NOT NULL,
    -- of an annotation
    key TEXT,
    PRIMARY KEY (room, parent, rel_type, seq)
) {clustered};

CREATE INDEX relation_child ON relation (event_id);

CREATE TABLE room_alias (
    alias TEXT PRIMARY KEY,
    room BIGINT NOT NULL,
    creator BIGINT NOT NULL
) {clustered};

CREATE INDEX room_alias_room ON room_alias (room, alias);

-- The server's key, with which every event is signed; the same for all nodes.
CREATE TABLE signing_key (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    key TEXT NOT NULL
) {strict};
