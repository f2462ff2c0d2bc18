/** What is built is what is tested: every route of the document, asked of dist/. */
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { callEveryRoute, serveBuilt } from '../support/every-route.ts'

const BIN = resolve(import.meta.dirname, '../../bin/iron-cage.cjs')
const folder = mkdtempSync(join(tmpdir(), 'iron-cage-built-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('the built server', () => {
  test('answers every route of its OpenAPI document', async () => {
    const answered = await callEveryRoute(await serveBuilt([process.execPath, BIN], folder))
    expect([...answered].filter(([, status]) => status >= 500)).toEqual([])
    // Nothing was found, so there is no original of it; secrets are for agents that Iron Cage runs.
    const unread = [...answered].filter(([route, status]) => route.startsWith('GET ') && status !== 200)
    expect(new Map(unread)).toEqual(
      new Map([
        ['GET /api/pii/incidents/{id}/original', 404],
        ['GET /api/run/secrets', 403],
      ]),
    )
  })
})
