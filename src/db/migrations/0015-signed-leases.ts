/** Leases stay for a while after they are accounted for, with the panel's signature: its database may lose commits. */
export const signedLeases = `
ALTER TABLE leases ADD COLUMN signed TEXT;
ALTER TABLE leases ADD COLUMN closed_at INTEGER;
CREATE INDEX leases_closed ON leases (closed_at);
`
