/**
 * Two scripts of the same name keep one checkpoint each. Existing ones belong to the script that last ran under the
 * name.
 */
export const checkpointScripts = `
ALTER TABLE checkpoints RENAME TO checkpoints_by_name;
CREATE TABLE checkpoints (
  agent_name TEXT NOT NULL,
  script TEXT NOT NULL,
  version INTEGER NOT NULL,
  data TEXT NOT NULL,
  saved_at TEXT NOT NULL,
  PRIMARY KEY (agent_name, script)
) STRICT;
INSERT INTO checkpoints
  SELECT agent_name,
    coalesce((SELECT script FROM runs
      WHERE name = agent_name AND started_at <= saved_at ORDER BY started_at DESC LIMIT 1), ''),
    version, data, saved_at
  FROM checkpoints_by_name;
DROP TABLE checkpoints_by_name;
`
