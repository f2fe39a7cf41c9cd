-- What users report to the operator: a room, an event in it, or a user.
CREATE TABLE report (
    id {identity},
    reporter BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    -- the room, also of a reported event
    room BIGINT,
    event_id TEXT,
    user_nid BIGINT,
    reason TEXT NOT NULL
) {strict};

CREATE INDEX report_reporter ON report (reporter, id);
