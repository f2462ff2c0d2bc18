/** The tests run against the built program: every route of the document, asked of dist/. */
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { badlyAnswered, callEveryRoute, REFUSED_READS, serveBuilt } from '../support/every-route.ts'
import { callWithLargeBodies } from '../support/large-call.ts'

const BIN = resolve(import.meta.dirname, '../../bin/iron-cage.cjs')
const work = mkdtempSync(join(tmpdir(), 'iron-cage-built-'))
afterAll(() => rm(work, { recursive: true, force: true }))
const place = () => mkdtempSync(join(work, 'place-'))

describe('the built server', () => {
  test('the built server answers every route of its OpenAPI document', async () => {
    const answered = await callEveryRoute(await serveBuilt([process.execPath, BIN], place()))
    expect(badlyAnswered(answered)).toEqual(REFUSED_READS)
  })

  test('the built server redacts a call whose request and reply are large', async () => {
    const { reply, sent } = await callWithLargeBodies([process.execPath, BIN], place())
    expect([reply.status, reply.text.includes('[EMAIL_REDACTED]'), reply.text.includes('ann@')]).toEqual([
      200,
      true,
      false,
    ])
    expect([sent.includes('[EMAIL_REDACTED]'), sent.includes('bob@')]).toEqual([true, false])
  })
})
