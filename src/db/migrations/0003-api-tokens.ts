/** Tokens of clients that are not supervised. Only the hash of a token is kept. */
export const apiTokens = `
CREATE TABLE api_tokens (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('admin', 'viewer', 'agent')),
  agent_id TEXT,
  hash TEXT NOT NULL UNIQUE,
  created_at TEXT NOT NULL,
  expires_at TEXT,
  revoked_at TEXT,
  CHECK ((role = 'agent') = (agent_id IS NOT NULL))
) STRICT;
`
