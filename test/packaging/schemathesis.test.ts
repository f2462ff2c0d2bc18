/** Schemathesis calls every operation of the built server with valid and invalid values of its schemas. */
import { execFile } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import { serveBuilt } from '../support/every-route.ts'
import { send } from '../support/runtime.ts'

const root = resolve(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'iron-cage-schemathesis-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

interface Found {
  code: number
  report: string
}

describe('schemathesis', () => {
  test('schemathesis finds nothing in any operation, neither for people nor for agents', async () => {
    const server = await serveBuilt([process.execPath, join(root, 'bin/iron-cage.cjs')], folder)
    const ask = async (method: 'GET' | 'POST', path: string, body?: unknown) => {
      const headers = { authorization: `Bearer ${server.token}`, 'content-type': 'application/json' }
      const sent = body === undefined ? undefined : JSON.stringify(body)
      const { text } = await send(server.url + path, { method, headers, body: sent })
      return JSON.parse(text) as Record<string, string>
    }
    writeFileSync(join(folder, 'openapi.json'), JSON.stringify(await ask('GET', '/api/openapi.json')))
    const agent = await ask('POST', '/api/tokens', { name: 'agent', role: 'agent' })
    const secret = await ask('POST', '/api/secrets', { name: 'KEY', environment: 'production', value: 'value' })
    const known = { 'agents?': agent.agent_id, secrets: secret.id, circuits: 'openai', budgets: 'server' }
    writeFileSync(join(folder, 'schemathesis.toml'), Object.entries(known).map(operations).join('\n'))
    const own = '^/api/run'
    const runs = [
      find(server.url, server.token, '--exclude-path-regex', own),
      find(server.url, agent.token!, '--include-path-regex', own),
    ]
    for (const { code, report } of await Promise.all(runs)) expect(code, report).toBe(0)
  })
})

const operations = ([folders, id]: [string, string | undefined]): string => `
[[operations]]
include-path-regex = "/${folders}/\\\\{"
parameters = { "path.id" = "${id}", "path.name" = "${id}", "path.scope" = "${id}" }
`

/** A bounded number of calls, the same ones each time. */
async function find(url: string, token: string, ...which: string[]): Promise<Found> {
  const words = [
    ...['run', 'openapi.json', '--url', url, '--header', `Authorization: Bearer ${token}`, '--no-color'],
    ...['--max-examples', '5', '--generation-deterministic', '--warnings', 'off', '--checks', 'all'],
    // How long an answer takes is the machine's matter.
    ...['--request-timeout', '300'],
    // A schema cannot express all rules for a body: that a script exists, that a name is free.
    ...['--exclude-checks', 'positive_data_acceptance', ...which],
  ]
  const program = join(root, '.venv-test-schemathesis/bin/schemathesis')
  const ended = promisify(execFile)(program, words, { cwd: folder, maxBuffer: 64 * 1024 * 1024 })
  return ended.then(
    ({ stdout }) => ({ code: 0, report: stdout }),
    ({ code, stdout, stderr }) => ({ code, report: stdout + stderr }),
  )
}
