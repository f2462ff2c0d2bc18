/** The built program with a file that takes long to read: it is used at once, and its check ends the server if need be. */
import { openSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { newCallId, toAgentId } from '../../src/core/ids.ts'
import { openStore } from '../../src/db/store.ts'
import { openPlace } from '../cli/support.ts'

/** A server's folder, and the path of its database with 40 MB of kept contents. */
function placeWithLargeFile() {
  const place = openPlace()
  const path = join(place.folder, 'iron_state.db')
  const store = openStore({ path })
  const sealed = Buffer.alloc(100_000, 0x5a)
  const at = new Date().toISOString()
  store.transaction(() => {
    for (let row = 0; row < 400; row++)
      store.contents.put({ call_id: newCallId(), agent_id: toAgentId('agent'), at, sealed })
  })
  store.close()
  return { place, path }
}

test('a large file that is sound serves', async () => {
  const { place } = placeWithLargeFile()
  const server = place.start(['serve', '--port', '0'])
  await server.shows('http://localhost')
  server.child.kill('SIGTERM')
  expect(await server.ended).toMatchObject({ code: 0 })
})

test('a large file with damage that a start does not come across ends the server, by name', async () => {
  const { place, path } = placeWithLargeFile()
  const file = openSync(path, 'r+')
  writeSync(file, Buffer.alloc(64_000, 0x11), 0, 64_000, statSync(path).size - 8_000_000)
  const { code, err } = await place.start(['serve', '--port', '0']).ended
  expect(err).toMatch(/cannot use .*iron_state\.db as a database: .*page/s)
  expect(err).toContain('iron-cage restore')
  expect(code).toBe(8)
})
