-- Messages that wait for a device: whole events, in the order of their positions.
CREATE TABLE to_device (
    pos BIGINT PRIMARY KEY,
    user_nid BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    json BYTEA NOT NULL
) {strict};
CREATE INDEX to_device_mailbox ON to_device (user_nid, device_id, pos);

-- Requests already carried out, by the device that sent them.
CREATE TABLE to_device_txn (
    user_nid BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    txn_id TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (user_nid, device_id, event_type, txn_id)
) {clustered};
CREATE INDEX to_device_txn_by_time ON to_device_txn (at_ms);

-- At most one for each user. Its keys and messages are in the same tables as those of other devices.
CREATE TABLE dehydrated_device (
    user_nid BIGINT PRIMARY KEY,
    device_id TEXT NOT NULL,
    display_name TEXT,
    data BYTEA NOT NULL
) {strict};
