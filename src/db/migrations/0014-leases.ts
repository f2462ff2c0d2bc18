/** Slices of budgets that this ledger shares with others through a Control Panel. */
export const leases = `
CREATE TABLE leases (
  id TEXT PRIMARY KEY,
  granted_nanos INTEGER NOT NULL,
  used_nanos INTEGER NOT NULL,
  returned_nanos INTEGER NOT NULL
) STRICT;
ALTER TABLE calls ADD COLUMN lease_id TEXT;
CREATE INDEX calls_lease ON calls (lease_id) WHERE lease_id IS NOT NULL;
`
