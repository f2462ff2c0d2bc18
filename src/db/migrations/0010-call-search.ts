/**
 * The keys by which calls are searched: the unit of work that a call belongs to, and an index with every filter, newest
 * last. A new entry goes to its end, where that of an ending call is too.
 */
export const callSearch = `
ALTER TABLE calls ADD COLUMN unit TEXT;
CREATE INDEX calls_search ON calls (id, agent_id, kind, target, model, state, code, unit, cost_nanos);
`
