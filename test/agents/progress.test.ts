import { describe, expect, it } from 'vitest'
import { ProgressWatch } from '../../src/agents/progress.ts'
import type { EventData, RuntimeEvent } from '../../src/core/events.ts'
import { toAgentId } from '../../src/core/ids.ts'

const at = { seq: 1, at: '2026-11-21T12:00:00.000Z', agent_id: toAgentId('lg-1'), level: 'INFO', message: '' } as const

const progress = (done: number): RuntimeEvent => ({
  ...at,
  type: 'progress.updated',
  data: { done, total: null, unit: 'leads', label: null },
})
const unit = (label: string | null, outcome: EventData['unit.completed']['outcome'] = 'succeeded'): RuntimeEvent => ({
  ...at,
  type: 'unit.completed',
  data: { outcome, degraded: false, unit: 'lead', label, latency_ms: null, reason: null },
})

/** The reports of each life, and its last checkpoint; returns which of them made progress. */
function lives(...all: { reports?: RuntimeEvent[]; leaves?: string | undefined }[]): boolean[] {
  const watch = new ProgressWatch('as found')
  return all.map(({ reports = [], leaves = 'as found' }) => {
    for (const event of reports) watch.see(event)
    return watch.endLife(leaves)
  })
}

describe('a life has made progress', () => {
  it('a higher count than before is progress, and the same count again is not', () => {
    const same = { reports: [progress(1), progress(2)] }
    expect(lives(same, same, { reports: [progress(3)] }, { reports: [progress(2)] })).toEqual([
      true,
      false,
      true,
      false,
    ])
  })

  it('a finished unit with a new name is progress', () => {
    const [ann, bob] = [{ reports: [unit('Ann')] }, { reports: [unit('Ann'), unit('Bob')] }]
    expect(lives(ann, ann, bob, ann)).toEqual([true, false, true, false])
  })

  it('each unit without a name counts as progress', () => {
    const one = { reports: [unit(null)] }
    expect(lives(one, one)).toEqual([true, true])
  })

  it('a failed unit is no progress', () => {
    expect(lives({ reports: [unit('Ann', 'failed'), unit(null, 'failed')] })).toEqual([false])
  })

  it('a new checkpoint is progress, and the same one again is not', () => {
    expect(lives({}, { leaves: 'one' }, { leaves: 'two' }, { leaves: 'one' })).toEqual([false, true, true, false])
  })

  it('a deleted checkpoint is no progress, nor is any other event', () => {
    const printed: RuntimeEvent = { ...at, type: 'agent.output', data: { stream: 'stdout', text: 'busy' } }
    const watch = new ProgressWatch(undefined)
    watch.see(printed)
    expect(watch.endLife(undefined)).toBe(false)
  })
})

it('a hundred thousand units take the memory of ten thousand, and the latest are still known', () => {
  const watch = new ProgressWatch(undefined)
  for (let index = 0; index < 100_000; index += 1) watch.see(unit(`lead ${index}`))
  expect(watch.see(unit('lead 99999'))).toBe(false)
  expect(watch.see(unit('lead 0'))).toBe(true)
})
