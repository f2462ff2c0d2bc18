/** The policy of an organization on its way to a real runtime, and its effect while the panel is away. */
import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import { runCli } from '../../src/cli/cli.ts'
import { processTerminal } from '../../src/cli/output/terminal.ts'
import type { Environment } from '../../src/config/environments.ts'
import type { Policy } from '../../src/config/policy.ts'
import { configSchema } from '../../src/config/schema.ts'
import { withPolicy } from '../../src/uplink/with-policy.ts'
import { dollars } from '../support/money.ts'
import { answer } from '../support/provider.ts'
import { openTestRuntime, type TestRuntime } from '../support/runtime.ts'
import { temporaryFile } from '../support/temporary-file.ts'
import { joinMachine } from './machine.ts'
import { openTestPanel } from './open-panel.ts'

const EMAIL = 'jane.canary@northwind-traders.com'

async function openFleet() {
  const panel = await openTestPanel()
  const { fleet, organizationId } = panel
  await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('100') }, 'ada')
  const path = temporaryFile('state.db')
  const invitation = await fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  const { runtimeId } = await joinMachine(path, panel.url, invitation)
  const set = (policy: Policy | null, environment?: Environment) =>
    panel.policies.set({ organizationId, name: 'ada' }, policy, environment)
  return { panel, path, folder: dirname(path), runtimeId, set }
}

/** The configuration that a command would load on this machine. */
const startConfig = (path: string) => {
  const config = configSchema.parse({ db: { path }, safety: { mode: 'warn' } })
  return withPolicy({ config, origins: { 'safety.mode': 'iron-cage.yaml:1' }, file: null })
}

async function replyOf(cage: TestRuntime, agent: ReturnType<TestRuntime['addAgent']>): Promise<string> {
  cage.provider.does(answer({ text: `write to ${EMAIL}` }))
  return (await agent.chat()).text
}

const messages = (cage: TestRuntime) =>
  [...cage.of('config.loaded'), ...cage.of('config.refused')].map((each) => each.message)

test('a policy reaches a machine while it runs, holds at its next start without the panel, and ends when it is cleared', async () => {
  const { panel, path, folder, set } = await openFleet()
  const cage = await openTestRuntime({ folder, safety: { mode: 'warn' } })
  const agent = cage.addAgent()
  expect(await replyOf(cage, agent)).toContain(EMAIL)
  await set({ safety: { mode: 'redact' }, providers: { openai: { retries: 4 } } })
  await expect
    .poll(() => messages(cage))
    .toContain(
      'Policy 1 of the Control Panel: safety.mode, providers.openai.retries changed; needs a restart: providers.openai.retries',
    )
  expect(await replyOf(cage, agent)).not.toContain(EMAIL)

  // A setting that a later version of the panel may send.
  await set({ safety: { mode: 'block', telepathy: 'forbid' } } as Policy)
  await expect
    .poll(() => messages(cage))
    .toContainEqual(
      expect.stringMatching(
        /^Policy 2 of the Control Panel not applied, nothing changed: .*safety\.telepathy: unknown key/,
      ),
    )
  expect(await replyOf(cage, agent)).not.toContain(EMAIL)
  await cage.close()
  await panel.close()
  const started = startConfig(path)
  expect(started.config).toMatchObject({ safety: { mode: 'redact' }, providers: { openai: { retries: 4 } } })
  expect(started.origins).toMatchObject({ 'safety.mode': 'Control Panel', 'providers.openai.retries': 'Control Panel' })
})

test('a cleared policy is gone from the machine as well, and one that changed while it was away arrives', async () => {
  const { path, folder, set } = await openFleet()
  await set({ safety: { mode: 'block' } })
  const first = await openTestRuntime({ folder, safety: { mode: 'warn' } })
  await expect
    .poll(() => messages(first))
    .toContainEqual(expect.stringContaining('Policy 1 of the Control Panel: safety.mode changed'))
  await first.close()
  expect(startConfig(path).config.safety.mode).toBe('block')
  await set(null)
  const second = await openTestRuntime({ folder, safety: { mode: 'warn' } })
  await expect
    .poll(() => messages(second))
    .toContainEqual(expect.stringContaining('Policy 2 of the Control Panel (sets nothing here)'))
  await second.close()
  expect(startConfig(path)).toMatchObject({
    config: { safety: { mode: 'warn' } },
    origins: { 'safety.mode': 'iron-cage.yaml:1' },
  })
})

test('the policy of an environment holds on machines that may have its secrets, beside that of all machines', async () => {
  const { panel, path, folder, runtimeId, set } = await openFleet()
  const ada = { organizationId: panel.organizationId, name: 'ada' }
  await set({ safety: { mode: 'redact' }, budget: { tools: { max_calls: 50 } }, providers: { openai: { retries: 4 } } })
  await set(
    { safety: { mode: 'warn' }, budget: { tools: { max_calls: 5 } }, providers: { openai: { retries: 1 } } },
    'production',
  )
  await set({ providers: { openai: { retries: 3 } } }, 'development')
  const cage = await openTestRuntime({ folder, safety: { mode: 'warn' }, agent: { environment: 'production' } })
  await expect.poll(() => messages(cage)).toContainEqual(expect.stringContaining('Policy 3 of the Control Panel'))
  // The machine names an environment that it may not have: it has the policy of all machines alone.
  expect(startConfig(path).config).toMatchObject({
    ...{ safety: { mode: 'redact' }, budget: { tools: { max_calls: 50 } } },
    providers: { openai: { retries: 4 } },
  })
  await panel.secrets.allow(ada, runtimeId, ['production'])
  await expect.poll(() => startConfig(path).config.budget.tools.max_calls).toBe(5)
  expect(startConfig(path)).toMatchObject({
    // The stricter of both, and the narrower where there is none.
    config: { safety: { mode: 'redact' }, providers: { openai: { retries: 1 } } },
    origins: {
      'safety.mode': 'Control Panel',
      'budget.tools.max_calls': 'Control Panel (production)',
      'providers.openai.retries': 'Control Panel (production)',
    },
  })
  await panel.secrets.allow(ada, runtimeId, ['development', 'production'])
  await set({ budget: { loops: { action: 'refuse' } } }, 'development')
  await expect.poll(() => startConfig(path).config.budget.loops.action).toBe('refuse')
  expect(startConfig(path).config.providers.openai.retries).toBe(1)
  await set(null, 'production')
  await expect.poll(() => startConfig(path).config.budget.tools.max_calls).toBe(50)
  expect((await panel.fleet.audit(panel.organizationId, 1))[0]).toMatchObject({ actor: 'ada', action: 'policy.clear' })
  await cage.close()
})

test('a machine that leaves has its own configuration alone again', async () => {
  const { path, folder, set } = await openFleet()
  await set({ safety: { mode: 'block' } })
  const cage = await openTestRuntime({ folder, safety: { mode: 'warn' } })
  await expect.poll(() => messages(cage)).toContainEqual(expect.stringContaining('Policy 1 of the Control Panel'))
  await cage.close()
  expect(startConfig(path).config.safety.mode).toBe('block')
  const terminal = { ...processTerminal(), cwd: folder, out: () => {}, err: () => {} }
  expect(await runCli(['leave', '--db', path], {}, terminal)).toBe(0)
  expect(startConfig(path)).toMatchObject({
    config: { safety: { mode: 'warn' } },
    origins: { 'safety.mode': 'iron-cage.yaml:1' },
  })
})

test('only admins can change the policy, every role can read it, and the audit records the old one', async () => {
  const { panel } = await openFleet()
  const { credentials } = panel.fleet
  const as = async (role: 'admin' | 'viewer') => {
    const token = await credentials.createToken(panel.organizationId, role, role, 'ada')
    return async (method: string, body?: object) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const request = { method, headers, ...(body && { body: JSON.stringify(body) }) }
      const response = await fetch(`${panel.url}/api/fleet/policy`, request)
      return { status: response.status, body: (await response.json()) as Record<string, unknown> }
    }
  }
  const [admin, viewer] = [await as('admin'), await as('viewer')]
  expect((await viewer('GET')).body).toEqual({
    ...{ revision: 0, settings: null, environments: {}, updated_at: null, updated_by: null },
  })
  expect((await viewer('PUT', { settings: null })).status).toBe(403)
  expect((await admin('PUT', { settings: { agent: { python: '/tmp/evil' } } })).status).toBe(400)
  const settings = { safety: { mode: 'block' } }
  expect((await admin('PUT', { settings })).body).toMatchObject({ revision: 1, settings, updated_by: 'admin' })
  expect((await viewer('GET')).body).toMatchObject({ revision: 1, settings })
  expect((await admin('PUT', { settings: null })).body).toMatchObject({ revision: 2, settings: null })
  const audit = await panel.fleet.audit(panel.organizationId, 2)
  expect(audit.map(({ actor, action, details }) => [actor, action, JSON.parse(details)])).toEqual([
    ['admin', 'policy.clear', { revision: 2, settings: null }],
    ['admin', 'policy.set', { revision: 1, settings: JSON.stringify(settings) }],
  ])
})
