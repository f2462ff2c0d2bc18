/**
 * The audit chain (`audit/chain.ts`). The triggers stop mistakes and other programs; whoever removes them first is found
 * by the hashes. An insert elsewhere than at the end is refused too, and with it REPLACE, which no trigger of DELETE sees.
 */
export const audit = `
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  role TEXT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT,
  details TEXT NOT NULL,
  previous BLOB NOT NULL,
  hash BLOB NOT NULL
) STRICT;

CREATE TRIGGER audit_is_never_updated BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit rows are never changed'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit rows are never deleted'); END;
CREATE TRIGGER audit_is_appended_only BEFORE INSERT ON audit
WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit)
BEGIN SELECT RAISE(ABORT, 'audit rows are appended without gaps'); END;

-- Answers and checkpoints are sealed from now on (seal.ts); those in clear go.
DELETE FROM service_cache;
DELETE FROM checkpoints;

ALTER TABLE pii_incidents ADD COLUMN original TEXT NOT NULL DEFAULT 'not_kept';
`
