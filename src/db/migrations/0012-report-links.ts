/** Links that show an agent's report without a sign-in. */
export const reportLinks = `
CREATE TABLE report_links (
  id TEXT PRIMARY KEY,
  agent_id TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  created_at TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  revoked_at TEXT,
  created_by TEXT NOT NULL
) STRICT;
CREATE INDEX report_links_agent ON report_links (agent_id);
`
