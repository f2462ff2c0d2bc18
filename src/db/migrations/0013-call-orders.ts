/** The calls that cost most, and those that failed. Both indexes are partial: a running call is in neither. */
export const callOrders = `
CREATE INDEX calls_cost ON calls (cost_nanos, id) WHERE cost_nanos > 0;
CREATE INDEX calls_failed ON calls (id) WHERE code IS NOT NULL;
`
