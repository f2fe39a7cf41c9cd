-- Where notifications of a user are sent.
CREATE TABLE pusher (
    id {identity},
    nid BIGINT NOT NULL,
    -- it ends with this device
    device_id TEXT NOT NULL,
    app_id TEXT NOT NULL,
    pushkey TEXT NOT NULL,
    app_display_name TEXT NOT NULL,
    device_display_name TEXT NOT NULL,
    profile_tag TEXT,
    lang TEXT NOT NULL,
    -- as the client gave it, a JSON object with the address in it
    data BYTEA NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    -- how far it has come, when its gateway is in trouble; NULL: as far as push_progress says
    behind TEXT,
    failures BIGINT NOT NULL DEFAULT 0,
    failing_since_ms BIGINT,
    UNIQUE (nid, app_id, pushkey)
) {strict};

CREATE INDEX pusher_key ON pusher (app_id, pushkey);
CREATE INDEX pusher_device ON pusher (nid, device_id);

-- How far each lane has been handled for all pushers that are not behind.
CREATE TABLE push_progress (
    lane BIGINT PRIMARY KEY,
    handled BIGINT NOT NULL
) {clustered};
