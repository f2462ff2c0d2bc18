import { expect, it, onTestFinished } from 'vitest'
import { checkpointTable } from '../../src/db/checkpoints.ts'
import { openDatabase } from '../../src/db/database.ts'

const AT = '2026-11-21T12:00:00.000Z'

function openCheckpoints() {
  const database = openDatabase({ path: ':memory:' })
  onTestFinished(() => database.close())
  return checkpointTable(database)
}

it('a checkpoint comes back as it was saved, and each one has the next version', () => {
  const checkpoints = openCheckpoints()
  const data = { lead: 40, done: [1, 2.5, null, 'né 🎉'], nested: { yes: true } }
  expect(checkpoints.put('lead_gen', 'first', AT)).toBe(1)
  expect(checkpoints.put('lead_gen', data, AT)).toBe(2)
  expect(checkpoints.get('lead_gen')).toEqual({ version: 2, data })
})

it.each([null, 0, '', false, []])('%o is a checkpoint like any other', (data) => {
  const checkpoints = openCheckpoints()
  checkpoints.put('lead_gen', data, AT)
  expect(checkpoints.get('lead_gen')).toEqual({ version: 1, data })
})

it('each agent has its own, and what is forgotten begins anew', () => {
  const checkpoints = openCheckpoints()
  checkpoints.put('one', 1, AT)
  checkpoints.put('two', 2, AT)
  checkpoints.forget('one')
  expect(checkpoints.get('one')).toBeUndefined()
  expect(checkpoints.get('two')).toEqual({ version: 1, data: 2 })
  expect(checkpoints.put('one', 1, AT)).toBe(1)
})

it('a mebibyte is kept, a byte more is refused and leaves the last one', () => {
  const checkpoints = openCheckpoints()
  const most = 'x'.repeat(1_048_576 - 2)
  expect(checkpoints.put('lead_gen', most, AT)).toBe(1)
  expect(() => checkpoints.put('lead_gen', `${most}x`, AT)).toThrow(
    expect.objectContaining({ code: 'body_too_large', message: expect.stringContaining('1048577 bytes') }),
  )
  expect(checkpoints.get('lead_gen')).toEqual({ version: 1, data: most })
})
