/**
 * Running calls in a separate table: few rows on few pages, and the row of a call is written once, when it ends. The
 * casts give both parts of `ledger` the same affinities, without which SQLite would read and sort all calls for the
 * first few.
 */
export const holds = `
CREATE TABLE holds (
  id TEXT PRIMARY KEY,
  agent_id TEXT NOT NULL,
  run_id TEXT,
  kind TEXT NOT NULL CHECK (kind IN ('llm', 'service', 'reported')),
  target TEXT NOT NULL,
  model TEXT,
  unit TEXT,
  lease_id TEXT,
  held_nanos INTEGER NOT NULL CHECK (held_nanos >= 0),
  started_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO holds
  SELECT id, agent_id, run_id, kind, target, model, unit, lease_id, held_nanos, started_at
  FROM calls WHERE state IN ('held', 'unresolved') AND state = 'held';
DELETE FROM calls WHERE state IN ('held', 'unresolved') AND state = 'held';
DROP INDEX calls_open;
CREATE INDEX calls_unresolved ON calls (id) WHERE state = 'unresolved';

CREATE VIEW running_calls AS
SELECT agent_id, id, run_id, kind, target, model, CAST('held' AS TEXT) AS state, held_nanos,
  CAST(0 AS INTEGER) AS cost_nanos, CAST(0 AS INTEGER) AS estimated, CAST(NULL AS TEXT) AS price,
  CAST(NULL AS TEXT) AS usage, CAST(NULL AS INTEGER) AS status, CAST(NULL AS TEXT) AS code, started_at,
  CAST(NULL AS TEXT) AS ended_at, CAST(NULL AS TEXT) AS corrects, CAST(NULL AS TEXT) AS reason, unit, lease_id
FROM holds;

CREATE VIEW ledger AS
SELECT agent_id, id, run_id, kind, target, model, state, held_nanos, cost_nanos, estimated, price, usage, status, code,
  started_at, ended_at, corrects, reason, unit, lease_id
FROM calls
UNION ALL
SELECT agent_id, id, run_id, kind, target, model, state, held_nanos, cost_nanos, estimated, price, usage, status, code,
  started_at, ended_at, corrects, reason, unit, lease_id
FROM running_calls;
`
