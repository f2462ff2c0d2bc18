/**
 * The tables of version 0.1.0. Amounts are integer nanodollars; times are ISO 8601 UTC text.
 *
 * - An alert's delivery is pending until it has arrived or failed for good.
 * - Of a token only the hash is stored; of a secret only what `vault/vault.ts` sealed.
 * - The triggers of the audit chain (`audit/chain.ts`) stop mistakes and other programs; if they are removed first, the
 *   hashes reveal the change. An insert anywhere but at the end is refused too, and with it REPLACE, which bypasses
 *   DELETE triggers.
 * - Only the audit chain records who did what to secrets: `secret_audit_log` is a view of the chain's rows about them,
 *   with their chain columns, so that no copy can contradict the chain.
 */
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
  exhausted_limit_nanos INTEGER,
  period_starts_at TEXT
) STRICT;

-- Corrections refer to the call they correct; only theirs may be negative.
CREATE TABLE calls (
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
CREATE INDEX calls_open ON calls (state) WHERE state IN ('held', 'unresolved');
CREATE INDEX calls_corrections ON calls (agent_id, corrects) WHERE corrects IS NOT NULL;

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
  "end" INTEGER NOT NULL,
  original TEXT NOT NULL DEFAULT 'not_kept',
  sealed_original BLOB
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

CREATE TABLE alerts (
  id TEXT PRIMARY KEY,
  at TEXT NOT NULL,
  agent_id TEXT,
  kind TEXT NOT NULL,
  level TEXT NOT NULL,
  title TEXT NOT NULL,
  detail TEXT NOT NULL,
  source_seq INTEGER NOT NULL,
  acknowledged_at TEXT,
  acknowledged_by TEXT
) STRICT;

CREATE TABLE alert_deliveries (
  alert_id TEXT NOT NULL REFERENCES alerts (id),
  channel TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
  attempts INTEGER NOT NULL DEFAULT 0,
  error TEXT,
  ended_at TEXT,
  PRIMARY KEY (alert_id, channel)
) STRICT;
CREATE INDEX alert_deliveries_pending ON alert_deliveries (alert_id) WHERE state = 'pending';

CREATE TABLE api_tokens (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('admin', 'viewer', 'agent')),
  agent_id TEXT,
  hash TEXT NOT NULL UNIQUE,
  created_at TEXT NOT NULL,
  expires_at TEXT,
  revoked_at TEXT,
  created_by TEXT NOT NULL DEFAULT 'operator',
  CHECK ((role = 'agent') = (agent_id IS NOT NULL))
) STRICT;

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

CREATE TABLE secrets (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  environment TEXT NOT NULL,
  version INTEGER NOT NULL CHECK (version >= 1),
  masked TEXT NOT NULL,
  parameters TEXT NOT NULL,
  salt BLOB NOT NULL,
  nonce BLOB NOT NULL,
  ciphertext BLOB NOT NULL,
  previous_version INTEGER,
  previous_nonce BLOB,
  previous_ciphertext BLOB,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  rotated_at TEXT,
  deleted_at TEXT
) STRICT;
CREATE UNIQUE INDEX secrets_by_name ON secrets (environment, name) WHERE deleted_at IS NULL;

-- Of "secret." and what follows it, and nothing else: every call would pay for more.
CREATE INDEX audit_of_secrets ON audit (target) WHERE action >= 'secret.' AND action < 'secret/';

CREATE VIEW secret_audit_log AS
SELECT
  'sal-' || seq AS id,
  target AS secret_name,
  substr(action, 8) AS operation,
  role AS requester_role,
  details ->> '$.agent_id' AS agent_id,
  CAST(details ->> '$.success' AS INTEGER) AS success,
  details ->> '$.error' AS error_message,
  at AS timestamp,
  seq,
  previous,
  hash
FROM audit
WHERE action >= 'secret.' AND action < 'secret/';

CREATE TABLE users (
  id TEXT PRIMARY KEY,
  username TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL CHECK (role IN ('admin', 'viewer')),
  password_hash TEXT NOT NULL,
  created_at TEXT NOT NULL,
  password_changed_at TEXT NOT NULL
) STRICT;

CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
  refresh_hash TEXT NOT NULL,
  used_at TEXT NOT NULL
) STRICT;
`
