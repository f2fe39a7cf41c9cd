-- When the operator was done with a report.
ALTER TABLE report ADD COLUMN closed_ms BIGINT;

CREATE INDEX report_open ON report (id) WHERE closed_ms IS NULL;
