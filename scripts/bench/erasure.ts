/**
 * node scripts/bench/erasure.ts [--events 1000000] [--share 100]: how long it takes to erase a person from so many stored
 * events of a Control Panel, each `share`-th of which has the name, on a real PostgreSQL that writes to the disk; as a trial
 * and for real, and how long a runtime waits meanwhile that sends its events once a second. The last line is JSON.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { RuntimeEvent } from '../../src/core/events.ts'
import { Erasures } from '../../src/panel/access/erasure.ts'
import { Fleet } from '../../src/panel/bank/budgets.ts'
import { openPanelDatabase } from '../../src/panel/db/open.ts'
import { TelemetryStore } from '../../src/panel/telemetry/telemetry-store.ts'
import { startCluster } from '../../test/panel/postgres.ts'

const { values } = parseArgs({
  options: { events: { type: 'string', default: '1000000' }, share: { type: 'string', default: '100' } },
})
const [EVENTS, SHARE] = [Number(values.events), Number(values.share)]
const RUNTIMES = 50
const NAME = 'jane.canary@example.com'

const cluster = await startCluster({ fsync: 'on' })
try {
  const address = await cluster.newDatabase()
  const [database, another] = [await openPanelDatabase(address), await openPanelDatabase(address)]
  const fleet = new Fleet(database)
  const organizationId = await fleet.openOrganization('default')
  const runtimes: string[] = []
  for (let n = 0; n < RUNTIMES; n++) {
    const invitation = await fleet.credentials.invite(organizationId, { team: null, user: null }, `m${n}`, 'ada')
    const member = (await fleet.credentials.identify(invitation))!
    runtimes.push((await fleet.credentials.join(member, `m${n}`, '1')).runtimeId)
  }
  const each = Math.floor(EVENTS / RUNTIMES)
  for (const [n, id] of runtimes.entries()) {
    await database.within(organizationId, (sql) =>
      sql.rows(
        `INSERT INTO events SELECT $1, $2, 'j', seq, '2026-01-02T03:04:05.000Z', 0, 'lg-7a3f', 'INFO', 'progress.updated',
           CASE WHEN seq % ${SHARE} = 0 THEN 'a lead: ${NAME}' ELSE seq || ' of 10000 leads' END,
           '{"done":' || seq || ',"total":10000,"unit":"leads","label":null}' FROM generate_series(1, ${each}) AS seq`,
        [organizationId, id],
      ),
    )
    await database.within(organizationId, (sql) =>
      sql.rows('INSERT INTO telemetry (runtime_id, organization_id, journal_id, acked_seq) VALUES ($1, $2, $3, $4)', [
        ...[id, organizationId, 'j'],
        n === 0 ? 0 : each,
      ]),
    )
  }
  const figures: Record<string, object> = {}
  for (const isTrial of [true, false]) {
    const sender = send(new TelemetryStore(another), organizationId, runtimes[0]!, isTrial ? 'trial' : 'erasure')
    const began = performance.now()
    const { rows } = await new Erasures(database).erase({ organizationId, name: 'ada' }, [NAME], isTrial)
    const tookMs = performance.now() - began
    figures[isTrial ? 'trial' : 'erasure'] = { took_s: Math.round(tookMs / 100) / 10, rows, ...(await sender.stop()) }
    console.error(JSON.stringify(figures))
  }
  console.log(JSON.stringify({ events: EVENTS, ...figures }))
  await Promise.all([database.close(), another.close()])
} finally {
  await cluster.remove()
}

/** Sends an event each second until it is stopped, as a runtime does that tries again. */
function send(store: TelemetryStore, organizationId: string, runtimeId: string, journal_id: string) {
  const figures = { sent: 0, refused: 0, longest_wait_s: 0 }
  let isRunning = true
  const run = async () => {
    for (let seq = 1; isRunning; await wait(1_000)) {
      const event = {
        seq,
        at: new Date().toISOString(),
        agent_id: null,
        level: 'INFO',
        type: 'x',
        message: '',
        data: {},
      }
      const events = [event as unknown as RuntimeEvent]
      const began = performance.now()
      for (let isStored = false; !isStored; ) {
        isStored = await store
          .take(organizationId, runtimeId, { journal_id, after: seq - 1, through: seq, lost: null, events })
          .then(
            () => true,
            () => false,
          )
        if (isStored) figures.sent += 1
        else figures.refused += 1
      }
      figures.longest_wait_s = Math.max(figures.longest_wait_s, Math.round((performance.now() - began) / 100) / 10)
      seq += 1
    }
  }
  const running = run()
  return {
    stop: async () => {
      isRunning = false
      await running
      return figures
    },
  }
}
