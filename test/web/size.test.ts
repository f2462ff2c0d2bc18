import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'

const web = resolve(import.meta.dirname, '../../dist/web')
const MAX_BYTES = 60 * 1024

test('the dashboard is at most 60 KB, compressed', () => {
  const sizes = ['main.js', 'main.css', 'index.html'].map((name) => gzipSync(readFileSync(resolve(web, name))).length)
  expect(sizes.reduce((sum, size) => sum + size)).toBeLessThanOrEqual(MAX_BYTES)
})
