import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { openStore } from '../../src/db/store.ts'

const of = (name: string) => ({ name, script: `/agents/${name}.py` })
const AT = '2026-11-21T12:00:00.000Z'

function openCheckpoints() {
  const store = openStore({ path: ':memory:' })
  onTestFinished(() => store.close())
  return store.checkpoints
}

it('a checkpoint comes back as it was saved, and each one has the next version', () => {
  const checkpoints = openCheckpoints()
  const data = { lead: 40, done: [1, 2.5, null, 'né 🎉'], nested: { yes: true } }
  expect(checkpoints.put(of('lead_gen'), 'first', AT)).toBe(1)
  expect(checkpoints.put(of('lead_gen'), data, AT)).toBe(2)
  expect(checkpoints.get(of('lead_gen'))).toEqual({ version: 2, data })
})

it.each([null, 0, '', false, []])('%o is a checkpoint like any other', (data) => {
  const checkpoints = openCheckpoints()
  checkpoints.put(of('lead_gen'), data, AT)
  expect(checkpoints.get(of('lead_gen'))).toEqual({ version: 1, data })
})

it('each agent has its own, and a deleted one starts again at version 1', () => {
  const checkpoints = openCheckpoints()
  checkpoints.put(of('one'), 1, AT)
  checkpoints.put(of('two'), 2, AT)
  checkpoints.forget(of('one'))
  expect(checkpoints.get(of('one'))).toBeUndefined()
  expect(checkpoints.get(of('two'))).toEqual({ version: 1, data: 2 })
  expect(checkpoints.put(of('one'), 1, AT)).toBe(1)
})

it('a mebibyte is kept, a byte more is refused and leaves the last one', () => {
  const checkpoints = openCheckpoints()
  const most = 'x'.repeat(1_048_576 - 2)
  expect(checkpoints.put(of('lead_gen'), most, AT)).toBe(1)
  expect(() => checkpoints.put(of('lead_gen'), `${most}x`, AT)).toThrow(
    expect.objectContaining({ code: 'body_too_large', message: expect.stringContaining('1048577 bytes') }),
  )
  expect(checkpoints.get(of('lead_gen'))).toEqual({ version: 1, data: most })
})

it('two scripts of the same name have one each', () => {
  const checkpoints = openCheckpoints()
  const [one, other] = [of('agent'), { name: 'agent', script: '/elsewhere/agent.py' }]
  checkpoints.put(one, { customer: 'A' }, AT)
  expect(checkpoints.get(other)).toBeUndefined()
  expect(checkpoints.put(other, { customer: 'B' }, AT)).toBe(1)
  checkpoints.forget(one)
  expect(checkpoints.get(other)).toEqual({ version: 1, data: { customer: 'B' } })
  checkpoints.forget({ name: 'agent' })
  expect(checkpoints.get(other)).toBeUndefined()
})

it('a hundred large ones leave a short write-ahead log', () => {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-checkpoints-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'state.db')
  const store = openStore({ path })
  onTestFinished(() => store.close())
  const checkpoints = store.checkpoints
  for (let version = 1; version <= 100; version += 1) checkpoints.put(of('large'), 'x'.repeat(1_000_000), AT)
  expect(statSync(`${path}-wal`).size).toBeLessThan(17 * 1_048_576)
})
