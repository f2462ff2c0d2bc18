/** The contents of calls, redacted and sealed, if the configuration keeps them. */
export const callContents = `
CREATE TABLE call_contents (
  call_id TEXT PRIMARY KEY,
  agent_id TEXT NOT NULL,
  at TEXT NOT NULL,
  sealed BLOB NOT NULL
) STRICT;
CREATE INDEX call_contents_at ON call_contents (at);
`
