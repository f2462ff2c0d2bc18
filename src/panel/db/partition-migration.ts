/**
 * The migration that puts events on PostgreSQL into partitions (`event-partitions.ts` makes and drops them from then on).
 *
 * Events that were stored before become one partition as they are, until the end of the day: nothing is copied, and they are
 * read once, for the check. Incidents among them, which are stored for longer, are moved. Panels of the version before go on:
 * the tables together are `events`, with the same columns.
 */
import type { Dialect } from './database.ts'

const KEY = 'PRIMARY KEY (runtime_id, journal_id, seq)'
const DAY_MS = 86_400_000

/** Ten days each, back to before the oldest incident that is stored. */
const INCIDENTS_MS = 10 * DAY_MS
const PAST_INCIDENTS = 10

export const partitionEvents = ({ now, ownRows }: Dialect): string[] => [
  'ALTER TABLE events RENAME TO events_first',
  'CREATE TABLE events (LIKE events_first) PARTITION BY LIST (type)',
  'CREATE TABLE events_daily (LIKE events_first) PARTITION BY RANGE (received_at)',
  'CREATE TABLE incidents (LIKE events_first) PARTITION BY RANGE (received_at)',
  'CREATE INDEX incidents_at ON incidents (organization_id, at)',
  'ALTER TABLE events ATTACH PARTITION events_daily DEFAULT',
  "ALTER TABLE events ATTACH PARTITION incidents FOR VALUES IN ('pii.found')",
  ...['events_daily', 'incidents'].flatMap((table) => [
    `CREATE TABLE ${table}_default (LIKE events_first, ${KEY})`,
    `CREATE INDEX ${table}_default_received ON ${table}_default (received_at)`,
    `ALTER TABLE ${table} ATTACH PARTITION ${table}_default DEFAULT`,
  ]),
  ...['events', 'events_daily', 'incidents', 'events_daily_default', 'incidents_default'].flatMap((table) =>
    ownRows(table, 'organization_id'),
  ),
  `DO $$
  DECLARE
    present CONSTANT BIGINT := ${now};
    midnight CONSTANT BIGINT := (present / ${DAY_MS} + 1) * ${DAY_MS};
    first BIGINT;
    name TEXT;
  BEGIN
    FOR n IN 0..${PAST_INCIDENTS} LOOP
      first := (present / ${INCIDENTS_MS} - n) * ${INCIDENTS_MS};
      CONTINUE WHEN n > 0 AND NOT EXISTS (SELECT 1 FROM events_first
        WHERE type = 'pii.found' AND received_at >= first AND received_at < first + ${INCIDENTS_MS});
      name := 'incidents_' || to_char(to_timestamp(first / 1000) AT TIME ZONE 'UTC', 'YYYYMMDD');
      EXECUTE format('CREATE TABLE %I (LIKE events_first, ${KEY})', name);
      ${ownRows('%I', 'organization_id')
        .map((statement) => `EXECUTE format('${statement.replaceAll("'", "''")}', name);`)
        .join('\n      ')}
      EXECUTE format('ALTER TABLE incidents ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
        name, first, first + ${INCIDENTS_MS});
    END LOOP;
    -- What arrived later than today did so while the clock was wrong.
    WITH moved AS (DELETE FROM events_first WHERE type = 'pii.found' OR received_at >= midnight RETURNING *)
      INSERT INTO events SELECT * FROM moved;
    DROP INDEX events_received, events_found;
    EXECUTE format('ALTER TABLE events_daily ATTACH PARTITION events_first FOR VALUES FROM (MINVALUE) TO (%s)', midnight);
  END $$`,
]
