-- The full-text index: which words stand in which events. Written behind the events, see search_progress.
CREATE TABLE search_term (
    room BIGINT NOT NULL,
    term TEXT NOT NULL,
    seq BIGINT NOT NULL,
    -- 0 body, 1 name, 2 topic
    field BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    -- how many terms the event has
    size BIGINT NOT NULL,
    PRIMARY KEY (room, term, seq)
) {clustered};

-- The terms of each event in the index, with spaces between, to take them out again.
CREATE TABLE search_doc (
    room BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    terms TEXT NOT NULL,
    PRIMARY KEY (room, seq)
) {clustered};

-- Up to where the events of each lane are in the index.
CREATE TABLE search_progress (
    lane BIGINT PRIMARY KEY,
    handled BIGINT NOT NULL
) {clustered};
