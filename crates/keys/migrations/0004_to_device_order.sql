-- When the message was sent: orders what one sender sent through several lanes.
ALTER TABLE to_device ADD COLUMN sent_at BIGINT NOT NULL DEFAULT 0;
