/** People who sign in with a password, the sessions of everyone, and who made a token. */
export const users = `
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

ALTER TABLE api_tokens ADD COLUMN created_by TEXT NOT NULL DEFAULT 'operator';
`
