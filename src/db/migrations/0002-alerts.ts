/** What was told to people, and where each alert went: a delivery is pending until it has arrived or was given up. */
export const alerts = `
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
`
