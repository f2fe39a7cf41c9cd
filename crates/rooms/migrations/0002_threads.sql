-- The threads of a room, by their first events. `seq` is the number of the newest event in each.
CREATE TABLE thread (
    room BIGINT NOT NULL,
    root TEXT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (room, root)
) {clustered};

CREATE INDEX thread_seq ON thread (room, seq);
