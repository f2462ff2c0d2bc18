import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { LineWriter } from '../../src/log/line-writer.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'iron-cage-log-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

describe('writing lines', () => {
  const lostLine = (lost: number) => `${lost} lost\n`

  test('ten thousand lines arrive in order', async () => {
    const path = join(folder, 'lines')
    const descriptor = openSync(path, 'w')
    const writer = new LineWriter({ clock: systemClock, descriptor: () => descriptor, lostLine })
    const expected = Array.from({ length: 10_000 }, (_, index) => `line ${index}\n`)
    for (const line of expected) writer.write(line)
    await writer.close()
    closeSync(descriptor)
    expect(readFileSync(path, 'utf8')).toBe(expected.join(''))
  })

  test('a flood is bounded, and a line reports how much was lost', async () => {
    const path = join(folder, 'flood')
    const descriptor = openSync(path, 'w')
    const writer = new LineWriter({ clock: systemClock, descriptor: () => descriptor, lostLine })
    const megabyte = `${'x'.repeat(1024 * 1024 - 1)}\n`
    for (let count = 0; count < 20; count++) writer.write(megabyte)
    await writer.close()
    closeSync(descriptor)
    expect(readFileSync(path, 'utf8')).toBe(`${megabyte.repeat(8)}12 lost\n`)
  })

  test.runIf(process.platform === 'linux')(
    'lines lost to a full disk are counted once there is room again',
    async () => {
      const path = join(folder, 'recovered')
      const room = openSync(path, 'w')
      const full = openSync('/dev/full', 'w')
      let descriptor = full
      const failed = Promise.withResolvers<string | undefined>()
      const writer = new LineWriter({
        clock: systemClock,
        descriptor: () => descriptor,
        lostLine,
        onFault: ({ code }) => failed.resolve(code),
      })
      writer.write('one\n')
      writer.write('two\n')
      expect(await failed.promise).toBe('ENOSPC')
      descriptor = room
      writer.write('three\n')
      await writer.close()
      closeSync(full)
      closeSync(room)
      expect(readFileSync(path, 'utf8')).toBe('three\n2 lost\n')
    },
  )
})
