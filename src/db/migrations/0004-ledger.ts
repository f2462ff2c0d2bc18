/**
 * Corrections are rows of the ledger that refer to the call they correct; only theirs may be negative. Budgets know
 * the period in which they were last used. (A CHECK cannot be changed in place, so the table is written anew.)
 */
export const ledger = `
CREATE TABLE new_calls (
  agent_id TEXT NOT NULL,
  id TEXT NOT NULL,
  run_id TEXT,
  kind TEXT NOT NULL CHECK (kind IN ('llm', 'service', 'reported', 'correction')),
  target TEXT NOT NULL,
  model TEXT,
  state TEXT NOT NULL CHECK (state IN ('held', 'charged', 'released', 'unresolved')),
  held_nanos INTEGER NOT NULL CHECK (held_nanos >= 0),
  cost_nanos INTEGER NOT NULL DEFAULT 0 CHECK (cost_nanos >= 0 OR kind = 'correction'),
  estimated INTEGER NOT NULL DEFAULT 0,
  price TEXT,
  usage TEXT,
  status INTEGER,
  code TEXT,
  started_at TEXT NOT NULL,
  ended_at TEXT,
  corrects TEXT,
  reason TEXT,
  PRIMARY KEY (agent_id, id),
  CHECK ((kind = 'correction') = (corrects IS NOT NULL)),
  CHECK (kind <> 'correction' OR (state = 'charged' AND held_nanos = 0))
) STRICT, WITHOUT ROWID;
INSERT INTO new_calls SELECT *, NULL, NULL FROM calls;
DROP TABLE calls;
ALTER TABLE new_calls RENAME TO calls;
CREATE INDEX calls_open ON calls (state) WHERE state IN ('held', 'unresolved');
CREATE INDEX calls_corrections ON calls (agent_id, corrects) WHERE corrects IS NOT NULL;

ALTER TABLE budgets ADD COLUMN period_starts_at TEXT;
`
