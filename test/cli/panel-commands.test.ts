/** What is typed by mistake at commands of a Control Panel: it is refused with what to do instead, or does what it says. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
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
  return { panel, place, type, send, budgets }
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

test('what is wrong with a policy is said with how to correct it', async () => {
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
  expect((await type('runtimes', 'revoke', '..')).code).toBe(2)
  // As any other client may send it.
  const { send } = await openAdmin()
  expect((await send('POST', '/api/fleet/invitations', { name: '..' })).status).toBe(400)
  expect(await budgets()).toHaveLength(1)
})

test('a generated token has a budget of its own, which pays for all calls of the machine that joins with it', async () => {
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

test("a backup of a Control Panel's file says what the file is, and how it is backed up", async () => {
  const place = openPlace()
  await createPanelDatabase(place)
  const refused = await place.type(['backup', 'copy.db', '--db', 'iron_panel.db'])
  expect(refused).toMatchObject({ code: 8, out: '' })
  expect(refused.err).toContain('iron_panel.db is the database of a Control Panel\n')
  expect(refused.err).toContain('"Backups" in docs/production.md')
  expect((await place.type(['ps', '--db', 'iron_panel.db'])).err).not.toContain('another version')
})
