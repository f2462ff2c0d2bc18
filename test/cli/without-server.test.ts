/** Commands print and record the same whether a server runs or not: the same routes answer in both cases. */
import { expect, test } from 'vitest'
import { openPlace, type Place } from './support.ts'

const PASSWORD = 'correct horse battery'

const COMMANDS: readonly (readonly string[])[] = [
  ['tokens', 'create', '--name', 'notebook', '--budget', '20', '--json'],
  ['tokens', 'list', '--json'],
  ['users', 'role', 'alice', 'admin'],
  ['users', 'list'],
  ['budget', 'get', 'notebook'],
  ['budget', 'add', 'notebook', '5', '--json'],
  ['budget', 'set', '--server', '100'],
  ['budget', 'add', '--run', '5'],
  ['budget', 'get', '--json'],
  ['budget', 'calls', 'notebook'],
  ['budget', 'calls', 'notebook', '--state', 'open'],
  ['budget', 'calls', 'notebook', '--limit', '0'],
  ['budget', 'get', 'nobody'],
  ['budget', 'correct', 'notebook', 'call-0', '5', '--reason', 'invoice'],
  ['budget', 'correct', 'notebook', 'call-0', '5', '--reason', 'x'.repeat(501)],
  ['budget', 'release', 'notebook', 'call-0'],
  ['calls'],
  ['calls', 'notebook', '--outcome', 'lost'],
  ['calls', 'show', 'call-0'],
  ['report', 'notebook', '--format', 'csv'],
  ['report', '--format', 'json'],
  ['report', 'notebook', '--share', '24h', '--format', 'json'],
  ['report', 'notebook', '--share', 'forever'],
  ['report', 'notebook', '--links'],
  ['report', '--revoke', 'link-0'],
  ['report', '--share', '24h'],
  ['secrets', 'list'],
  ['ps'],
  ['ps', '--all', '--json'],
  ['status', 'notebook'],
  ['logs', 'notebook'],
  ['logs', 'nobody'],
  ['incidents'],
  ['alerts', 'list'],
  ['models', 'list'],
  ['circuits', 'list'],
  ['circuits', 'open', 'openai'],
  ['circuits', 'list'],
  ['circuits', 'reset', 'openai'],
  ['circuits', 'reset', 'nobody'],
  ['circuits', 'list', '--json'],
]

interface AuditRow {
  role: string
  actor: string
  action: string
  target: string | null
  details: unknown
}

async function runAll(place: Place, withServer: boolean) {
  place.write('iron-cage.yaml', 'budget: { server_usd: 50, per_run_usd: 20 }\n')
  await place.type(['users', 'add', 'alice'], { stdin: PASSWORD })
  const server = withServer ? place.start(['serve', '--port', '0']) : undefined
  await server?.shows('http://localhost')
  const transcript: string[] = []
  for (const command of COMMANDS) {
    const { code, out, err } = await place.type(command)
    transcript.push(`$ ${command.join(' ')}\n${code}\n${out}${err}`)
  }
  server?.child.kill('SIGTERM')
  await server?.ended
  const { out } = await place.type(['audit', 'export'])
  const rows = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as AuditRow)
  // The server itself records its start and its configuration.
  const audit = rows
    .filter(({ role }) => role !== undefined && role !== 'system')
    .map(({ role, actor, action, target, details }) => ({ role, actor, action, target, details }))
  const known = new Map<string, number>()
  return {
    transcript: transcript.map((text) => steady(text, known)),
    audit: JSON.parse(steady(JSON.stringify(audit), known)) as AuditRow[],
  }
}

/** Ids, tokens and times differ between two runs: an id becomes the number of its first appearance. */
function steady(text: string, known: Map<string, number>): string {
  const withoutTimes = text
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replaceAll(/\/\S*\.iron/g, '<home>')
    .replaceAll(/localhost:\d+/g, '<server>')
    .replaceAll(/\[\d\d:\d\d:\d\d\]/g, '<time>')
  return withoutTimes.replaceAll(/(?:ic|link)_[\w-]{43}|\b(?:token|user|req|run|link|n)-[0-9a-f]{8,}/g, (id) => {
    if (!known.has(id)) known.set(id, known.size)
    return `<id ${known.get(id)}>`
  })
}

test('they print and record the same', async () => {
  const [served, alone] = [await runAll(openPlace(), true), await runAll(openPlace(), false)]
  expect(alone.transcript).toEqual(served.transcript)
  expect(alone.audit).toEqual(served.audit)
  const changes = alone.audit.filter(({ action }) => action === 'budget.change')
  expect(changes).toMatchObject([
    { role: 'admin', actor: 'operator' },
    { role: 'admin', actor: 'operator' },
    { role: 'admin', actor: 'operator' },
  ])
}, 300_000)
