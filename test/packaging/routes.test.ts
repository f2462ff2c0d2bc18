/** What is built is what is tested: every route of the document, asked of dist/. */
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { badlyAnswered, callEveryRoute, REFUSED_READS, serveBuilt } from '../support/every-route.ts'

const BIN = resolve(import.meta.dirname, '../../bin/iron-cage.cjs')
const folder = mkdtempSync(join(tmpdir(), 'iron-cage-built-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('the built server', () => {
  test('answers every route of its OpenAPI document', async () => {
    const answered = await callEveryRoute(await serveBuilt([process.execPath, BIN], folder))
    expect(badlyAnswered(answered)).toEqual(REFUSED_READS)
  })
})
