import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { expect, test, vi } from 'vitest'
import { openPlace } from './support.ts'

test('health exits 0 while a server works, 8 while it cannot write, 7 without one', async () => {
  const place = openPlace()
  const server = place.start(['serve', '--port', '0'])
  await server.shows('http://localhost')
  expect(await place.run(['health', '--json'])).toMatchObject({
    code: 0,
    out: expect.stringContaining('"status": "ok"'),
  })

  const other = new Sqlite(join(place.folder, 'iron_state.db'))
  other.exec('BEGIN IMMEDIATE')
  const url = /http:\/\/localhost:\d+/.exec(server.out)![0]
  // A refused token is an event, which has to wait.
  await fetch(`${url}/api/agents`, { headers: { authorization: 'Bearer nobody' } })
  await vi.waitFor(
    async () => {
      expect(await place.type(['health'])).toMatchObject({ code: 8, err: expect.stringContaining('cannot be written') })
    },
    { timeout: 30_000 },
  )
  other.exec('ROLLBACK')
  other.close()
  await vi.waitFor(async () => expect((await place.type(['health'])).code).toBe(0), { timeout: 30_000 })

  server.child.kill('SIGTERM')
  await server.ended
  expect((await place.type(['health'])).code).toBe(7)
})

test('health asks the Control Panel that IRON_CAGE_URL names, without a token', async () => {
  const place = openPlace()
  const panel = place.start(['panel', '--port', '0'])
  await panel.shows('runtimes invite')
  const [url] = /http:\/\/localhost:\d+/.exec(panel.out)!
  const asked = { env: { IRON_CAGE_URL: url } }
  expect(await place.type(['health'], asked)).toMatchObject({ code: 0, out: expect.stringMatching(/^ok {2}iron-cage/) })
  panel.child.kill('SIGTERM')
  await panel.ended
  expect((await place.type(['health'], asked)).code).toBe(7)
})
