-- To delete every upload of the same bytes.
CREATE INDEX media_by_content ON media (content) WHERE content IS NOT NULL;
