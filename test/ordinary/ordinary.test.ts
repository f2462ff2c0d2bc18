import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as agent from './agent.ts'
import * as call from './call.ts'
import { CASES, isAgent, isCall } from './case.ts'
import { CaseProvider, CERTIFICATE } from './provider.ts'

/**
 * What people who do this job really send, receive and run. ORDINARY_PROGRAM is another build to be compared; with
 * ORDINARY_SLOW set, cases that take minutes run as well.
 */

const PROGRAM = process.env.ORDINARY_PROGRAM ?? resolve(import.meta.dirname, '../../bin/iron-cage.cjs')
/** Printed when the server listens. */
const LISTENS = /#code=/

let provider: CaseProvider
let server: ChildProcess
let cage: call.Cage
const folder = mkdtempSync(join(tmpdir(), 'iron-cage-ordinary-'))

beforeAll(async () => {
  provider = await CaseProvider.open()
  const config = readFileSync(join(import.meta.dirname, 'cage.yaml'), 'utf8')
    .replaceAll('@HTTP@', provider.url)
    .replaceAll('@CONNECT@', provider.proxyUrl)
    .replaceAll('@CA@', CERTIFICATE)
  writeFileSync(join(folder, 'iron-cage.yaml'), config)
  server = spawn(process.execPath, [PROGRAM, 'serve', '--port', '0'], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      OPENAI_API_KEY: 'sk-server-key-0001',
      ANTHROPIC_API_KEY: 'sk-ant-server-key-0002',
      GEMINI_API_KEY: 'gm-server-key-0003',
      OPENROUTER_API_KEY: 'or-server-key-0004',
      HOUSE_API_KEY: 'hk',
      LITELLM_API_KEY: 'lk',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  await new Promise<void>((listening) =>
    server.stdout!.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (LISTENS.test(output)) listening()
    }),
  )
  const { url, token } = JSON.parse(readFileSync(join(folder, 'iron_state.db.server'), 'utf8')) as Record<
    string,
    string
  >
  cage = {
    url: url!.replace('localhost', '127.0.0.1'),
    ask: async (method, path, body) => {
      const headers = { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) }
      const reply = await fetch(`${cage.url}${path}`, { method, headers, body: body ? JSON.stringify(body) : null })
      return (await reply.json().catch(() => undefined)) as never
    },
  }
})
afterAll(async () => {
  const ended = new Promise((done) => server.once('exit', done))
  server.kill('SIGTERM')
  await ended
  provider.close()
  rmSync(folder, { recursive: true })
})

describe.concurrent('a call', () => {
  const cases = CASES.filter(isCall).filter(({ slow }) => !slow || process.env.ORDINARY_SLOW)
  test.each(cases)('$id is right: $why', async (one) => {
    expect(await call.wrongsOf(one, cage, provider)).toEqual([])
  })
})

describe.concurrent('an agent', () => {
  test.each(CASES.filter(isAgent))('$id is right: $why', async (one) => {
    expect(await agent.wrongsOf(one, provider)).toEqual([])
  })
})
