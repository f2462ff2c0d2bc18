/** Agents that no longer fit into the snapshot, each with its last state. */
export const pastAgents = `
CREATE TABLE past_agents (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  script TEXT NOT NULL,
  state TEXT NOT NULL,
  started_at TEXT NOT NULL,
  seq INTEGER NOT NULL,
  view TEXT NOT NULL
) STRICT;
CREATE INDEX past_agents_started ON past_agents (started_at);
`
