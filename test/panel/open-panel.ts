import { onTestFinished } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { type PanelOptions, type RunningPanel, startPanel } from '../../src/panel/server.ts'
import { temporaryFile } from '../support/temporary-file.ts'

/**
 * A Control Panel on a free port, with a new SQLite file unless `options` name a database; closed when the test ends.
 */
export async function openTestPanel(options: Partial<PanelOptions> = {}): Promise<RunningPanel> {
  const panel = await startPanel({
    database: options.database ?? temporaryFile('panel.db'),
    host: '127.0.0.1',
    port: 0,
    allowedHosts: [],
    ttlMs: 60_000,
    version: '1.0.0',
    clock: systemClock,
    assets: () => false,
    onNotice: () => {},
    onFault: () => {},
    ...options,
  })
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= panel.close()
    return closing
  }
  onTestFinished(close)
  return { ...panel, close }
}

const LATER_MS = -11 * 24 * 3_600_000

/** Ages that all events have, also those that arrive in the days to come: PostgreSQL deletes up to ten days as a whole. */
export const ANY_AGE = { eventsMs: LATER_MS, incidentsMs: LATER_MS }
