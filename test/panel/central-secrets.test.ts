/** Secrets of an organization: who gets them, how they are stored, and how they reach agents. */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { expect, test } from 'vitest'
import type { Member } from '../../src/panel/access/credentials.ts'
import { openPanelDatabase } from '../../src/panel/db/open.ts'
import { CentralSecrets, type CentralSecretsOptions } from '../../src/vault/central-secrets.ts'
import { python } from '../support/agent-parts.ts'
import { TestClock } from '../support/clock.ts'
import { dollars } from '../support/money.ts'
import { answer } from '../support/provider.ts'
import { openTestRuntime, type TestRuntime } from '../support/runtime.ts'
import { temporaryFile } from '../support/temporary-file.ts'
import { KEY, OTHER_KEY } from '../vault/support.ts'
import { joinMachine } from './machine.ts'
import { openTestPanel } from './open-panel.ts'

const PROGRAM = resolve(import.meta.dirname, '../agents/programs/keep_key.py')
const VALUE = 'sk-central-0123456789abcdefghijklmnop'

type Panel = Awaited<ReturnType<typeof openTestPanel>>

async function openPanel(database = temporaryFile('panel.db'), masterKey: string | undefined = KEY): Promise<Panel> {
  const panel = await openTestPanel({ database, masterKey })
  const organization = { scope: 'organization', name: null } as const
  await panel.fleet.setLimit(panel.organizationId, organization, { limit: dollars('100') }, 'ada')
  return panel
}

async function join({ fleet, organizationId, url }: Panel) {
  const path = temporaryFile('state.db')
  const invitation = await fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  const { runtimeId, token } = await joinMachine(path, url, invitation)
  const member: Member = { role: 'runtime', organizationId, id: runtimeId, name: 'machine' }
  return { folder: dirname(path), runtimeId, token, member }
}

const everywhere = (name: string) => ({ name, environment: null, agent: null })
const ada = ({ organizationId }: Panel) => ({ organizationId, name: 'ada' })

test('a machine gets nothing by default, then the narrowest secret of its environments, and each fetch is audited', async () => {
  const panel = await openPanel()
  const { member, runtimeId } = await join(panel)
  const { secrets, organizationId } = panel
  await secrets.set(ada(panel), everywhere('A'), 'of all')
  await secrets.set(ada(panel), everywhere('B'), 'of all')
  await secrets.set(ada(panel), { name: 'B', environment: 'staging', agent: null }, 'of staging')
  await secrets.set(ada(panel), { name: 'B', environment: 'production', agent: null }, 'of production')
  await secrets.set(ada(panel), { name: 'C', environment: 'staging', agent: 'leads' }, 'of leads')
  const staging = { environment: 'staging', agent: 'leads' }
  const stateOf = async () => (await panel.control.next(member, undefined, new AbortController().signal)).secrets
  await expect(secrets.fetch(member, staging)).rejects.toMatchObject({ code: 'forbidden' })
  expect(await stateOf()).toBe('')
  await secrets.allow(ada(panel), runtimeId, ['staging'])
  const before = await stateOf()
  const found = await secrets.fetch(member, staging)
  expect(found.map(({ name, value, agent }) => [name, value, agent]).sort()).toEqual([
    ['A', 'of all', null],
    ['B', 'of staging', null],
    ['C', 'of leads', 'leads'],
  ])
  expect((await secrets.fetch(member, { environment: 'staging', agent: 'other' })).map(({ name }) => name)).toEqual([
    'A',
    'B',
  ])
  await expect(secrets.fetch(member, { environment: 'production', agent: null })).rejects.toMatchObject({
    code: 'forbidden',
  })
  await secrets.set(ada(panel), everywhere('A'), 'new')
  expect(await stateOf()).not.toBe(before)
  const audit = (await panel.fleet.audit(organizationId, 100)).filter(({ action }) => action.startsWith('secret.'))
  expect(audit.map(({ actor, action }) => `${actor} ${action}`)).toEqual([
    'ada secret.update',
    'machine secret.fetch',
    'machine secret.fetch',
    ...Array(5).fill('ada secret.create'),
  ])
  expect(JSON.stringify(audit)).not.toMatch(/of all|of staging|of leads/)
  await panel.fleet.revoke(organizationId, runtimeId, 'ada')
  await expect(secrets.fetch(member, staging)).rejects.toMatchObject({ code: 'runtime_revoked' })
})

test('the database never has a value or its key, and a row that was moved or a panel with another key opens nothing', async () => {
  const file = temporaryFile('panel.db')
  const panel = await openPanel(file)
  const { member, runtimeId } = await join(panel)
  await panel.secrets.set(ada(panel), everywhere('A'), VALUE)
  await panel.secrets.allow(ada(panel), runtimeId, ['staging'])
  await panel.close()
  for (const suffix of ['', '-wal']) {
    const bytes = (() => {
      try {
        return readFileSync(file + suffix, 'latin1')
      } catch {
        return ''
      }
    })()
    expect(bytes).not.toContain(VALUE)
    expect(bytes).not.toContain(KEY)
  }
  const wanted = { environment: 'staging', agent: null }
  const other = await openPanel(file, OTHER_KEY)
  await expect(other.secrets.fetch(member, wanted)).rejects.toMatchObject({ code: 'vault_locked' })
  await expect(other.secrets.set(ada(other), everywhere('A'), 'x')).rejects.toMatchObject({ code: 'vault_locked' })
  await other.close()
  const database = await openPanelDatabase(file)
  await database.system.rows("UPDATE secrets SET environment = 'staging'")
  await database.close()
  const again = await openPanel(file)
  await expect(again.secrets.fetch(member, wanted)).rejects.toMatchObject({ code: 'vault_broken' })
})

async function openRuntime(folder: string): Promise<TestRuntime> {
  return openTestRuntime({ folder, agent: { python, stop_grace_s: 0.2, environment: 'staging' } })
}

test('an agent starts with the secrets of the organization, and gets a new value while it runs', async () => {
  const panel = await openPanel()
  const { folder, runtimeId } = await join(panel)
  const { secrets } = panel
  await secrets.allow(ada(panel), runtimeId, ['staging'])
  await secrets.set(ada(panel), everywhere('A_KEY'), `${VALUE}v1`)
  await secrets.set(ada(panel), { name: 'A_KEY', environment: 'staging', agent: 'another' }, `${VALUE}xx`)
  const cage = await openRuntime(folder)
  await cage.runtime.supervisor.start({ script: PROGRAM })
  const printed = () => cage.of('agent.output').map(({ data }) => data.text)
  await expect.poll(printed, { timeout: 30_000 }).toEqual(['ends in v1'])
  await secrets.set(ada(panel), everywhere('A_KEY'), `${VALUE}v2`)
  await expect.poll(printed, { timeout: 30_000 }).toEqual(['ends in v1', 'ends in v2'])
  expect(await cage.event('secret.rotated')).toMatchObject({
    data: { name: 'A_KEY', reloaded: 1, restart_required: 0 },
  })
  expect(cage.of('secret.withheld')).toEqual([])
  expect(cage.of('agent.exited')).toEqual([])
  const query = "SELECT target, details FROM audit WHERE action = 'secret.read'"
  const audit = cage.database.prepare(query).all() as { target: string; details: string }[]
  expect(audit.map(({ target }) => target)).toEqual(['A_KEY', 'A_KEY'])
  expect(audit[0]!.details).toContain('"origin":"panel"')
  const { access_token: token } = await cage.login()
  const listed = (await cage.get('/api/secrets', token)).text
  expect(JSON.parse(listed)).toMatchObject({
    secrets: [{ name: 'A_KEY', environment: 'staging', origin: 'panel', agent: null, version: 2 }],
  })
  for (const text of [JSON.stringify(audit), listed, JSON.stringify(cage.events)]) expect(text).not.toContain(VALUE)
})

test('an agent that starts while the panel is away gets the last fetched secrets; without them, or once revoked, each start is a warning', async () => {
  const panel = await openPanel()
  const { folder, runtimeId } = await join(panel)
  await panel.secrets.allow(ada(panel), runtimeId, ['staging'])
  await panel.secrets.set(ada(panel), everywhere('A_KEY'), `${VALUE}v1`)
  const startTwice = async (cage: TestRuntime, between = async () => {}) => {
    const printed = () => cage.of('agent.output').map(({ data }) => data.text)
    await cage.runtime.supervisor.start({ script: PROGRAM })
    await expect.poll(() => printed().length, { timeout: 30_000 }).toBe(1)
    await between()
    await cage.runtime.supervisor.start({ script: PROGRAM })
    await expect.poll(() => printed().length, { timeout: 30_000 }).toBe(2)
    const withheld = cage.of('secret.withheld').map(({ data, message }) => ({ ...data, message }))
    await cage.close()
    return { printed: printed(), withheld }
  }
  const gone = await join(panel)
  const revoked = await openRuntime(gone.folder)
  await panel.fleet.revoke(panel.organizationId, gone.runtimeId, 'ada')
  await revoked.runtime.supervisor.start({ script: PROGRAM })
  expect((await revoked.event('secret.withheld')).message).toMatch(/which has revoked this machine$/)
  await revoked.close()
  const kept = await startTwice(await openRuntime(folder), () => panel.close())
  expect(kept).toEqual({ printed: ['ends in v1', 'ends in v1'], withheld: [] })
  const { printed, withheld } = await startTwice(await openRuntime(folder))
  expect(printed).toEqual(['ends in ng', 'ends in ng'])
  expect(withheld).toEqual(
    Array(2).fill({ environment: 'staging', secrets: 0, message: expect.stringMatching(/which does not answer$/) }),
  )
})

test('a panel that never answers delays the start of an agent by two seconds, and no more', async () => {
  const clock = new TestClock()
  const options = { state: { record: () => undefined }, audit: {}, clock, onValues: () => {} }
  const central = new CentralSecrets(options as unknown as CentralSecretsOptions)
  central.connect(() => new Promise(() => {}), 'staging')
  for (const start of ['first', 'second']) {
    let loaded: string | undefined
    const loading = central.load('staging', 'leads').then((is) => {
      loaded = is
    })
    await clock.advanceAsync(1_999)
    expect(loaded, start).toBeUndefined()
    await clock.advanceAsync(1)
    await loading
    expect(loaded, start).toBe('unanswered')
  }
})

test('calls are sent with the key of the organization, also when it changes, and replies never show it', async () => {
  const panel = await openPanel()
  const { folder, runtimeId } = await join(panel)
  const { secrets } = panel
  await secrets.allow(ada(panel), runtimeId, ['development'])
  await secrets.set(ada(panel), everywhere('OPENAI_API_KEY'), VALUE)
  const cage = await openTestRuntime({ folder, environment: {} })
  const agent = cage.addAgent()
  const keyOfNext = async (sent = agent.token) => {
    await agent.chat({}, { authorization: `Bearer ${sent}` })
    return cage.provider.requests.at(-1)!.headers.authorization
  }
  await expect.poll(() => keyOfNext()).toBe(`Bearer ${VALUE}`)
  cage.provider.does(answer({ text: `the key is ${VALUE}` }))
  expect((await agent.chat()).text).not.toContain(VALUE)
  await secrets.set(ada(panel), everywhere('OPENAI_API_KEY'), `${VALUE}2`)
  await expect.poll(() => keyOfNext()).toBe(`Bearer ${VALUE}2`)
  // A client that was made before still has the former one.
  expect(await keyOfNext(VALUE)).toBe(`Bearer ${VALUE}2`)
})
