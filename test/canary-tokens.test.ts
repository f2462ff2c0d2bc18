/**
 * No token of ours leaves in clear, under any policy: an agent prints its environment, logs each URL it calls, and dies
 * with both in its traceback. Afterwards none of it is in a line of the terminal, a log, an event, a frame, an alert,
 * the database, or an answer beyond the role of its reader.
 */

import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { type AgentId, toRunId } from '../src/core/ids.ts'
import { openMailbox, openReceiver } from './alerts/support.ts'
import { openPlace } from './cli/support.ts'
import { program } from './support/agents.ts'
import { listRoutes } from './support/deps.ts'
import { FakeProvider } from './support/provider.ts'
import { openTestRuntime, type TestRuntime, until } from './support/runtime.ts'

const PYTHON = resolve(import.meta.dirname, '../.venv-test/bin/python')
const MASTER_KEY = 'k7Qw2Zx9Lm4Tb8Vn3Hc6Rf1Yd5Sg0Pj-aUeIoXyWq_z'
const STRIPE_KEY = 'prod-secret-of-the-company-7788'

/** Policies that look for little, and in few places: none of them is about our own tokens. */
const POLICIES: [name: string, safety: Record<string, unknown>][] = [
  ['as it is by default', {}],
  [
    'that warns, detects no secrets and leaves out logs',
    { mode: 'warn', detect: ['email'], scope: ['replies'], allow_domains: ['127.0.0.1'] },
  ],
]

/** A token by its random part: half of it is enough. The session's id after a refresh token is the id of a row. */
const tracesOf = (given: string): string[] => {
  const token = given.replace(/\.session-.*/, '')
  return [token.slice(-20), token.slice(token.length / 2 - 10, token.length / 2 + 10)]
}

const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-canary-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** How often anything of these tokens stands in a text, by name of the token and of the text. */
function leaksIn(texts: readonly (readonly [where: string, text: string])[], tokens: Record<string, string>): string[] {
  return texts.flatMap(([where, text]) =>
    Object.entries(tokens).flatMap(([name, token]) => {
      const times = Math.max(...tracesOf(token).map((trace) => text.split(trace).length - 1))
      return times > 0 ? [`${where}: ${name} (${times})`] : []
    }),
  )
}

const filesBelow = (folder: string): (readonly [string, string])[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8', withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.(next|server)$/.test(entry.name))
    .map(({ parentPath, name }) => [name, readFileSync(join(parentPath, name), 'latin1')] as const)

/** Every route that any role may read, with values for its parameters. */
async function readableRoutes(agentId: AgentId): Promise<string[]> {
  const routes = await listRoutes()
  const paths = routes.filter(({ method }) => method === 'GET').map(({ path }) => path.replace(/:\w+/, agentId))
  return [...new Set(paths), '/api/events?limit=1000', '/api/agents?all=true', `/gateway/${agentId}/openai/v1/models`]
}

async function tokensOf(cage: TestRuntime): Promise<Record<string, string>> {
  const code = cage.runtime.dashboardLink().split('#code=')[1]!
  const { access_token: jwt, refresh_token: refresh } = await cage.login()
  const post = async (path: string, body: unknown) =>
    (await cage.post(path, body, jwt)).json() as { token: string; ticket: string }
  await post('/api/secrets', { name: 'STRIPE_KEY', value: STRIPE_KEY })
  return {
    code,
    jwt,
    refresh,
    ticket: (await post('/api/auth/ws-ticket', {})).ticket,
    admin: (await post('/api/tokens', { name: 'an admin', role: 'admin' })).token,
    viewer: (await post('/api/tokens', { name: 'a viewer', role: 'viewer' })).token,
    client: (await post('/api/tokens', { name: 'a client' })).token,
  }
}

test.each(POLICIES)('nothing of a token is anywhere under a policy %s', async (_name, safety) => {
  await using mailbox = await openMailbox()
  await using receiver = await openReceiver()
  const hookSecret = 'hook-secret-Zx8Qw3Lk9Rt2Vb7N'
  const folder = newFolder()
  const cage = await openTestRuntime({
    agent: { sandbox: { write: [folder] } },
    masterKey: MASTER_KEY,
    safety,
    log: { level: 'debug' },
    alerts: {
      email: { to: 'ops@example.com', from: 'cage@example.com', smtp_url: mailbox.url },
      webhooks: [{ url: receiver.url, secret: hookSecret }],
    },
  })
  const tokens = await tokensOf(cage)
  const { ticket } = (await cage.post('/api/auth/ws-ticket', {}, tokens.viewer)).json() as { ticket: string }
  const frames: string[] = []
  const socket = new WebSocket(`${cage.url.replace('http', 'ws')}/ws?ticket=${ticket}`, { origin: cage.url })
  socket.on('message', (data: Buffer) => frames.push(data.toString()))
  await once(socket, 'open')
  onTestFinished(() => socket.terminate())

  const kept = join(folder, 'environment.json')
  const { agentId } = await cage.runtime.supervisor.start({
    script: program('tell_everything.py'),
    python: PYTHON,
    env: { KEPT_BY_TEST: kept },
    args: [...Object.values(tokens), MASTER_KEY, hookSecret],
    restart: { enabled: true, max: 1, window_s: 60, without_progress: 0 },
  })
  await cage.runtime.supervisor.whenEnded(agentId)
  const environment = JSON.parse(readFileSync(kept, 'utf8')) as Record<string, string>
  const secrets = { ...tokens, master: MASTER_KEY, hook: hookSecret, run: environment.IRON_CAGE_TOKEN!, STRIPE_KEY }
  const lines = cage.of('agent.output').map(({ data }) => data.text)
  expect(lines.join('\n')).toContain('HTTP Request: POST')
  expect(lines.join('\n')).toContain('RuntimeError')
  const { seq } = cage.runtime.state.read()
  await until(() => frames.some((frame) => frame.includes(`"seq":${seq}`)), 'the last event is on the screen')
  await until(() => receiver.requests.length > 0 && mailbox.messages.length > 0, 'alerts have arrived')

  const run = { agentId, runId: toRunId('run-0123456789ab'), name: 'tell_everything', script: '' }
  const roles = { nobody: undefined, viewer: tokens.viewer, admin: tokens.admin, client: tokens.client }
  const answers: (readonly [string, string])[] = []
  for (const [role, token] of [
    ...Object.entries(roles),
    ['a run that has ended', environment.IRON_CAGE_TOKEN],
  ] as const) {
    for (const route of await readableRoutes(agentId))
      answers.push([`${role} ${route}`, (await cage.get(route, token)).text])
  }
  // A run that lasts reads its own environment's secrets, and no more.
  const own = cage.runtime.runTokens.issue(run)
  for (const route of await readableRoutes(agentId)) {
    const { text } = await cage.get(route, own)
    answers.push([`a run ${route}`, /^\/(api\/)?(run\/)?secrets/.test(route) ? text.replaceAll(STRIPE_KEY, '') : text])
  }
  // The owner of a found token is secret, even to an admin.
  const { incidents } = (await cage.get('/api/pii/incidents?limit=1000', tokens.admin)).json() as {
    incidents: { id: string }[]
  }
  expect(incidents.length).toBeGreaterThan(10)
  for (const { id } of incidents) {
    answers.push(['an original', (await cage.get(`/api/pii/incidents/${id}/original`, tokens.admin)).text])
  }
  const seen = [
    ...answers,
    ['a frame', frames.join('\n')] as const,
    ['a webhook', JSON.stringify(receiver.requests)] as const,
    ['a mail', mailbox.messages.join('\n').replaceAll('=\r\n', '')] as const,
    ['events', JSON.stringify(cage.events)] as const,
  ]
  const leaks = leaksIn(seen, secrets)
  await cage.close()
  const found = [...leaks, ...leaksIn(filesBelow(cage.folder), secrets)]
  expect(found, `${found.length} leaks`).toEqual([])
})

test.each(['text', 'json'])(
  'nothing of a token is on the terminal, in the log or in the database (log as %s)',
  async (format) => {
    const provider = await FakeProvider.open()
    onTestFinished(() => provider.close())
    const place = openPlace()
    const folder = newFolder()
    place.write(
      'iron-cage.yaml',
      `agent: { sandbox: { write: ["${folder}"] } }\nproviders: { openai: { base_url: "${provider.url}/v1" } }\nprices: { penny: { input_per_mtok: 0, output_per_mtok: 1 } }\n`,
    )
    const kept = join(folder, 'environment.json')
    const ended = await place.run(
      [
        'start',
        program('tell_everything.py'),
        '--port',
        '0',
        '--no-restart',
        '--verbose',
        '--log-format',
        format,
        '--python',
        PYTHON,
      ],
      { env: { KEPT_BY_TEST: kept, OPENAI_API_KEY: 'sk-of-the-user-Zx8Qw3Lk9Rt2Vb7Nm4Hj6F' } },
    )
    expect(ended.out).toContain('HTTP Request: POST')
    const { IRON_CAGE_TOKEN: run } = JSON.parse(readFileSync(kept, 'utf8')) as Record<string, string>
    const found = leaksIn([['terminal', ended.out + ended.err], ...filesBelow(place.folder)], { run: run! })
    expect(found, `${found.length} leaks`).toEqual([])
  },
)
