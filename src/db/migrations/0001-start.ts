/** Amounts are integer nanodollars; times are ISO 8601 UTC text. */
export const start = `
CREATE TABLE events (
  seq INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  agent_id TEXT,
  level TEXT NOT NULL,
  type TEXT NOT NULL,
  message TEXT NOT NULL,
  data TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_agent ON events (agent_id, seq);

CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  agent_id TEXT NOT NULL,
  name TEXT NOT NULL,
  script TEXT NOT NULL,
  environment TEXT NOT NULL,
  restart INTEGER NOT NULL,
  pid INTEGER NOT NULL,
  pid_started TEXT,
  started_at TEXT NOT NULL,
  ended_at TEXT,
  exit_code INTEGER,
  signal TEXT
) STRICT;
CREATE INDEX runs_by_agent ON runs (agent_id);

CREATE TABLE budgets (
  agent_id TEXT PRIMARY KEY,
  limit_nanos INTEGER NOT NULL CHECK (limit_nanos >= 0),
  warned_limit_nanos INTEGER,
  exhausted_limit_nanos INTEGER
) STRICT;

CREATE TABLE calls (
  agent_id TEXT NOT NULL,
  id TEXT NOT NULL,
  run_id TEXT,
  kind TEXT NOT NULL CHECK (kind IN ('llm', 'service', 'reported')),
  target TEXT NOT NULL,
  model TEXT,
  state TEXT NOT NULL CHECK (state IN ('held', 'charged', 'released', 'unresolved')),
  held_nanos INTEGER NOT NULL CHECK (held_nanos >= 0),
  cost_nanos INTEGER NOT NULL DEFAULT 0 CHECK (cost_nanos >= 0),
  estimated INTEGER NOT NULL DEFAULT 0,
  price TEXT,
  usage TEXT,
  status INTEGER,
  code TEXT,
  started_at TEXT NOT NULL,
  ended_at TEXT,
  PRIMARY KEY (agent_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX calls_open ON calls (state) WHERE state IN ('held', 'unresolved');

CREATE TABLE pii_incidents (
  id TEXT PRIMARY KEY,
  at TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  call_id TEXT,
  type TEXT NOT NULL,
  severity TEXT NOT NULL CHECK (severity IN ('CRITICAL', 'WARN')),
  action TEXT NOT NULL CHECK (action IN ('redact', 'block', 'warn')),
  place TEXT NOT NULL,
  value_hash TEXT NOT NULL,
  start INTEGER NOT NULL,
  "end" INTEGER NOT NULL
) STRICT;
CREATE INDEX pii_incidents_by_agent ON pii_incidents (agent_id, at);

CREATE TABLE checkpoints (
  agent_name TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  data TEXT NOT NULL,
  saved_at TEXT NOT NULL
) STRICT;

CREATE TABLE service_cache (
  service TEXT NOT NULL,
  request_key TEXT NOT NULL,
  status INTEGER NOT NULL,
  content_type TEXT NOT NULL,
  body BLOB NOT NULL,
  stored_at TEXT NOT NULL,
  PRIMARY KEY (service, request_key)
) STRICT;

CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;
`
