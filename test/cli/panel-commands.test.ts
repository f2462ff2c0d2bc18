/** Mistakes in commands of a Control Panel: each is refused with a remedy, or does the expected thing. */
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { grantLease, openRuntime } from '../../src/panel/bank/bank.ts'
import type { FleetView } from '../../src/panel/fleet-view.ts'
import { openMachine } from '../panel/machine.ts'
import { openTestPanel } from '../panel/open-panel.ts'
import { dollars } from '../support/money.ts'
import { createPanelDatabase, openPlace } from './support.ts'

async function openAdmin() {
  const panel = await openTestPanel()
  const { fleet, organizationId } = panel
  await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('10') }, 'ada')
  const place = openPlace()
  const token = await fleet.credentials.createToken(organizationId, 'admin', 'ada', 'ada')
  const env = { IRON_CAGE_URL: panel.url, IRON_CAGE_TOKEN: token }
  const type = (...words: string[]) => place.type(words, { env })
  const send = async (method: string, path: string, body?: unknown) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const response = await fetch(panel.url + path, { method, headers, body: body ? JSON.stringify(body) : null })
    const text = await response.text()
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) }
  }
  const budgets = async () => ((await send('GET', '/api/fleet')).body as FleetView).budgets
  const join = async (name: string) => {
    const invitation = await fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
    return fleet.credentials.join((await fleet.credentials.identify(invitation))!, name, '1')
  }
  /** Lends to the runtime in the name of a ledger. Returns the id of the lease. */
  const lend = async (runtimeId: string, usd: string, journalId = 'j') => {
    const lease = await fleet.bank.run({ runtimeId, allLeases: true }, (books) => {
      const { epoch } = openRuntime(books, runtimeId, { journalId, epoch: 0 }, 60_000)
      const asked = { request: 0, epoch, least: dollars(usd), want: dollars(usd), agent: null, token: null }
      return grantLease(books, runtimeId, asked, 60_000)
    })
    return (lease as { id: string }).id
  }
  return { panel, place, type, send, budgets, join, lend }
}

test('a file that sets nothing does not remove the policy in force', async () => {
  const { panel, place, type, send } = await openAdmin()
  place.write('policy.yaml', 'safety: { mode: block }\n')
  expect((await type('policy', 'set', 'policy.yaml')).out).toBe('policy 1 is set for all machines\n')
  for (const [name, text] of [
    ['empty.yaml', ''],
    ['comment.yaml', '# safety: { mode: block }\n'],
    ['sections.yaml', 'safety: {}\nproviders: { openai: {} }\n'],
  ] as const) {
    place.write(name, text)
    const refused = await type('policy', 'set', name)
    expect(refused).toMatchObject({ code: 2, out: '' })
    expect(refused.err).toContain(`${name} sets nothing\n  hint: to remove a policy: "iron-cage policy clear"`)
  }
  expect((await send('PUT', '/api/fleet/policy', { settings: {} })).status).toBe(400)
  expect(await panel.policies.find(panel.organizationId)).toMatchObject({ revision: 1 })
  expect((await type('policy', 'clear')).out).toBe('no policy is set for all machines\n')
})

test('an invalid policy is reported with a way to correct it', async () => {
  const { place, type } = await openAdmin()
  place.write('syntax.yaml', 'safety: { mode: block\n')
  expect((await type('policy', 'set', 'syntax.yaml')).err).toMatch(/hint: correct the file, or name another one\n$/)
  place.write('unknown.yaml', 'safety: { mood: block }\n')
  expect((await type('policy', 'set', 'unknown.yaml')).err).toMatch(
    /the policy is wrong\n {2}unknown\.yaml: safety\.mood: .*\n {2}hint: correct the policy; docs\/production\.md lists/,
  )
})

test('a name with control characters is refused wherever a person gives one', async () => {
  const { panel, type, send, place } = await openAdmin()
  const invite = async () => (await type('runtimes', 'invite')).out.trim()
  for (const name of ['a\nb', 'a\u001b[31mb', 'a\tb', 'a\u0085b', 'a\u202eb', 'a\u2028b']) {
    const refused = await place.type(['join', panel.url, '--token', await invite(), '--name', name])
    expect(refused).toMatchObject({ code: 2, out: '' })
    expect(refused.err).toContain('name: a name may not hold line breaks or control characters')
    for (const [method, path, body] of [
      ['POST', '/api/fleet/invitations', { name }],
      ['POST', '/api/users', { username: name, password: 'correct horse' }],
      ['POST', '/api/tokens', { name, role: 'viewer' }],
      ['POST', '/api/tokens', { name, budget_usd: '1' }],
      ['POST', '/api/fleet/webhooks', { name, url: 'https://hooks.example.com/x' }],
      ['PATCH', `/api/fleet/budgets/token/${encodeURIComponent(name)}`, { limit_usd: '1' }],
      ['PATCH', `/api/fleet/budgets/team/${encodeURIComponent(name)}`, { limit_usd: '1' }],
    ] as const) {
      expect([path, (await send(method, path, body)).status]).toEqual([path, 400])
    }
  }
  const { runtimes, budgets } = await panel.fleet.read(panel.organizationId)
  expect([runtimes.length, budgets.length]).toEqual([0, 1])
})

test('a name that no address can hold is refused before anything is sent', async () => {
  const { type, budgets } = await openAdmin()
  for (const scope of ['team', 'user', 'agent', 'token']) {
    for (const name of ['', '.', '..']) {
      const refused = await type('budget', 'set', `--${scope}`, name, '5')
      expect([scope, name, refused.code]).toEqual([scope, name, 2])
      expect(refused.err).toContain(`expected a name or an id, got "${name}"`)
    }
  }
  expect((await type('teams', 'add', '..', 'ada')).err).toContain('expected a name or an id, got ".."')
  expect((await type('runtimes', 'resolve', '..', '--spent', '0.00', '--reason', 'x')).code).toBe(2)
  // As any other client may send it.
  const { send } = await openAdmin()
  expect((await send('POST', '/api/fleet/invitations', { name: '..' })).status).toBe(400)
  expect(await budgets()).toHaveLength(1)
})

test('a generated token carries a budget, which pays for all calls of the machine that joins with it', async () => {
  const { panel, place, type, budgets } = await openAdmin()
  const token = (await type('token', 'generate', '--name', 'notebook', '--budget', '2')).out.trim()
  expect(await budgets()).toMatchObject([
    { scope: 'organization' },
    { scope: 'token', name: 'notebook', limit_usd: '2' },
  ])
  expect((await type('requests', 'create', '1', '--token', 'notebook', '--reason', 'more')).out).toContain('$1.00')
  const again = await type('token', 'generate', '--name', 'notebook', '--budget', '2')
  expect(again.err).toContain('the token "notebook" already has a budget\n')
  expect(again.err).toContain('iron-cage budget set --token notebook <usd>')
  expect((await place.type(['join', panel.url, '--token', token])).code).toBe(0)
  const machine = openMachine(join(place.folder, 'iron_state.db'))
  const pay = (usd: string, tokenName?: string) => machine.call(usd, async () => dollars(usd), tokenName)
  try {
    await pay('0.5')
    await pay('0.25', 'other')
    // One of its clients may have a token of the same name: its calls count once.
    await pay('0.5', 'notebook')
    await expect(pay('1')).rejects.toMatchObject({ code: expect.stringMatching(/budget/) })
  } finally {
    await machine.close()
  }
  expect(await budgets()).toMatchObject([
    { scope: 'organization', settled_usd: '1.25', lent_usd: '0' },
    { scope: 'token', name: 'notebook', settled_usd: '1.25', lent_usd: '0' },
  ])
  expect(await panel.fleet.problems()).toEqual([])
})

test("a backup of a Control Panel's database is refused with a pointer to its own procedure", async () => {
  const place = openPlace()
  await createPanelDatabase(place)
  const refused = await place.type(['backup', 'copy.db', '--db', 'iron_panel.db'])
  expect(refused).toMatchObject({ code: 8, out: '' })
  expect(refused.err).toContain('iron_panel.db is the database of a Control Panel\n')
  expect(refused.err).toContain('"Backups" in docs/production.md')
  expect((await place.type(['ps', '--db', 'iron_panel.db'])).err).not.toContain('another version')
})

test('the list of machines includes open invitations and the leases of silent machines', async () => {
  const { panel, place, type, join, lend } = await openAdmin()
  await type('runtimes', 'invite', '--json')
  const invited = (await type('runtimes', 'list')).out
  expect(invited).toMatch(/^invited: invitation-\w+ "runtime", may join until 20\S+Z$/m)
  const viewer = await panel.fleet.credentials.createToken(panel.organizationId, 'viewer', 'bob', 'ada')
  const env = { IRON_CAGE_URL: panel.url, IRON_CAGE_TOKEN: viewer }
  expect(await place.type(['runtimes', 'list'], { env })).toMatchObject({ code: 0, out: '' })

  const { runtimeId } = await join('laptop')
  const id = await lend(runtimeId, '1.00017')
  const resolve = (spent: string, ...more: string[]) =>
    type('runtimes', 'resolve', id, '--spent', spent, '--reason', 'gone', ...more)
  expect((await resolve('0.5')).err).toMatch(
    /is active: only expired .*\n(.*\n)* {2}hint: .*without a report of the machine it expires at 20\S+Z, and can be resolved then\n$/,
  )
  const gone = await join('desktop')
  const theirs = await lend(gone.runtimeId, '2')
  await type('runtimes', 'revoke', 'desktop')
  const listed = (await type('runtimes', 'list')).out
  expect(listed).toMatch(
    new RegExp(`^lent: ${theirs} to desktop, \\$2\\.00; expires at 20\\S+Z unless it reports$`, 'm'),
  )
  expect(listed).not.toContain(id)
  await lend(runtimeId, '0.1', 'of another disk')
  expect((await resolve('1.001')).err).toContain('was lent $1.00017, which is less than $1.001')
  expect(await resolve('0.5')).toMatchObject({ code: 0 })
  expect((await resolve('0.5')).err).toContain('hint: nothing of it is left to resolve')
  expect(await panel.fleet.problems()).toEqual([])
})

test('a machine is meant by its id, a prefix of it or its name, and two of one name are asked about', async () => {
  const { type, join } = await openAdmin()
  const { runtimeId } = await join('laptop')
  expect((await type('runtimes', 'allow', 'laptop', 'staging')).out).toBe(
    `${runtimeId} may have the secrets of staging\n`,
  )
  expect((await type('runtimes', 'revoke', 'nobody')).code).toBe(5)
  await join('desktop')
  const both = await type('runtimes', 'revoke', 'runtime-')
  expect(both.err).toMatch(/"runtime-" matches 2 runtimes\n.*laptop.*\n.*desktop.*\n {2}hint: use the id/)
  expect((await type('runtimes', 'revoke', 'laptop')).out).toBe(`${runtimeId} can no longer spend\n`)
})

test('budget get shows one shared budget by name, and budget set warns of a limit below the spent and lent money', async () => {
  const { type, join, lend } = await openAdmin()
  await type('budget', 'set', '--team', 'research', '3')
  expect((await type('budget', 'get', '--team', 'research')).out).toMatch(/^BUDGET .*\nteam research +\$3\.00 .*\n$/)
  expect((await type('budget', 'get', '--user', 'research')).err).toContain('the user "research" has no budget')
  await lend((await join('laptop')).runtimeId, '2')
  expect((await type('budget', 'set', '--org', '1')).err).toBe(
    'the limit of organization default is below the $2.00 spent or lent: nothing more is lent\n',
  )
})

test('a refusal names the field and describes the expected value', async () => {
  const { type, send } = await openAdmin()
  const long = 'x'.repeat(81)
  expect((await type('tokens', 'create', '--name', long, '--role', 'viewer')).err).toContain(
    'name: expected at most 80 characters\n',
  )
  const problem = async (path: string, body: object) => (await send('POST', path, body)).body.error.message
  expect(await problem('/api/tokens', { name: 5, role: 'king', more: 1 })).toBe(
    'name: expected text; role: expected one of admin, viewer, agent; the body: unknown: more',
  )
  expect(await problem('/api/erasures', { words: ['Jane Doe', 'x'] })).toMatch(/^words\[1\]: expected 2 to 200/)
  expect((await type('erase', 'x')).err).toContain('"x" is too short')
})

test('an unknown host, origin or token is answered with a hint', async () => {
  const { panel, type } = await openAdmin()
  expect((await type('alerts', 'test')).err).toContain('there is nowhere to send alerts yet')
  expect((await type('tokens', 'revoke', 'token-1')).err).toContain('hint: "iron-cage tokens list" shows tokens')
  const hintFor = async (headers: Record<string, string>) => {
    const { hostname, port } = new URL(panel.url)
    const asked = request({ hostname, port, path: '/api/fleet', headers }).end()
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    const body = JSON.parse(Buffer.concat(await answer.toArray()).toString()) as { error: { hint: string } }
    return body.error.hint
  }
  expect(await hintFor({ host: 'panel.example.com' })).toContain('--allowed-hosts')
  expect(await hintFor({ origin: 'http://evil.example' })).toContain('a page of the panel itself')
})

test('the help of a command marks its required options', async () => {
  const place = openPlace()
  for (const command of [
    ['requests', 'create'],
    ['requests', 'approve'],
    ['runtimes', 'resolve'],
  ]) {
    expect((await place.type([...command, '--help'])).out).toMatch(/--reason +Why.*\[required\]/)
  }
})
