/** The page of a Control Panel: spent and lent money, and a lease that a person resolves. */
import { mkdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { panelFileSchema } from '../../src/config/schema.ts'
import type { RuntimeEvent } from '../../src/core/events.ts'
import { ZERO_NANOS } from '../../src/core/money.ts'
import { loadAssets } from '../../src/http/assets.ts'
import { grantLease, openRuntime, recordStatements } from '../../src/panel/bank/bank.ts'
import { openReceiver, QUICK } from '../alerts/support.ts'
import { openProvider } from '../panel/identity-provider.ts'
import { joinMachine } from '../panel/machine.ts'
import { openTestPanel } from '../panel/open-panel.ts'
import { findings, goTo, openBrowser, openPage, resizeTo, THEMES } from '../support/browser.ts'
import { dollars } from '../support/money.ts'
import { openTestRuntime } from '../support/runtime.ts'
import { temporaryFile } from '../support/temporary-file.ts'

const root = resolve(import.meta.dirname, '../..')
const STARTED = {
  run_id: 'run-1',
  name: 'lead_gen',
  script: 'leads.py',
  environment: 'default',
  pid: 1,
  restart: 0,
  limit_usd: '5',
  safety_mode: 'redact',
  detect: [],
}

let browser: Browser
beforeAll(async () => {
  browser = await openBrowser()
  mkdirSync(join(root, 'test-output'), { recursive: true })
})
afterAll(() => browser?.close())

test('the link opens the fleet, an admin resolves a quarantined lease, and a used link leads to the sign-in form', async () => {
  const masterKey = 'k7Qe2n0Z-VtYxW1rBs9uLcDpAa3fGh5JmX8iOo4q_Ew'
  const panel = await openTestPanel({ masterKey, assets: loadAssets(join(root, 'dist/panel')) })
  const { fleet, organizationId } = panel
  await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('5') }, 'ada')
  const invitation = await fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  const { runtimeId } = await fleet.credentials.join((await fleet.credentials.identify(invitation))!, 'laptop', '1.0.0')
  const open = (journalId: string) =>
    fleet.bank.run({ runtimeId, allLeases: true }, (books) =>
      openRuntime(books, runtimeId, { journalId, epoch: 0 }, 60_000),
    )
  const { epoch } = await open('lost')
  const granted = await fleet.bank.run({ runtimeId }, (books) =>
    grantLease(
      books,
      runtimeId,
      { epoch, request: 0, least: dollars('1'), want: dollars('1'), agent: null, token: null },
      60_000,
    ),
  )
  const spent = { used: dollars('0.1234567'), returned: ZERO_NANOS, held: ZERO_NANOS, isFinal: false }
  const statements = granted.outcome === 'granted' ? [{ id: granted.id, ...spent }] : []
  await fleet.bank.run({ runtimeId, allLeases: true }, (books) =>
    recordStatements(books, runtimeId, { epoch, statements }, 60_000),
  )
  await open('another')
  const now = Date.now()
  const agent = { agent_id: 'a-1', level: 'INFO', at: '2026-01-02T03:04:05.000Z', message: '' }
  const events = [
    { ...agent, seq: 1, type: 'agent.started', data: STARTED },
    { ...agent, seq: 2, type: 'progress.updated', data: { done: 7, total: 9, unit: 'leads', label: null } },
    { ...agent, seq: 3, type: 'pii.found', data: { pii_type: 'email', action: 'redact', place: 'reply' } },
    ...['0.10', '0.11', '0.09', '0.10', '0.12', '0.10', '0.10', '2.50'].map((cost_usd, day) => ({
      ...{ ...agent, seq: 4 + day, at: new Date(now - (7 - day) * 86_400_000).toISOString() },
      ...{ type: 'call.completed', data: { model: 'gpt-4o', cost_usd } },
    })),
  ] as unknown as RuntimeEvent[]
  const batch = { journal_id: 'another', after: 0, through: events.length, lost: null, events }
  await panel.telemetry.store.take(organizationId, runtimeId, batch)
  expect(await panel.spendingAlerts.look(organizationId, now)).toHaveLength(1)

  const bob = { organizationId, role: 'viewer', id: 'token-bob', name: 'bob' } as const
  await fleet.requests.create(bob, { scope: 'organization', name: null }, dollars('4'), 'a large import')
  const link = `${panel.url}/#code=${await fleet.credentials.newCode(organizationId, 'ada')}`
  const { page, faults } = await openPage(browser, link)
  await page.getByText('the organization').first().waitFor()
  await page.getByText('$0.123 spent of $1.00').waitFor()
  await page.getByText('7 of 9 leads').waitFor()
  // A phone has no pointer to hover with, so the page shows the ids for commands.
  for (const id of [runtimeId, 'a-1']) await page.getByText(id, { exact: true }).waitFor()
  const agentRow = page.getByRole('region', { name: 'Agents' }).getByRole('row').filter({ hasText: 'lead_gen' })
  // Its machine has not reported since, so it is unknown whether it runs.
  await agentRow.getByText(/Silent since (\w+ \d+ )?\d\d:\d\d:\d\d$/).waitFor()
  await page.getByText('1 agent, 0 running').waitFor()
  await agentRow.getByRole('button', { name: 'Stop a-1' }).waitFor()
  await page.screenshot({ path: join(root, 'test-output/fleet.png') })
  await page.getByRole('button', { name: /^Resolve/ }).click()
  await page
    .getByText(/^Of \$1\.00 lent to laptop, \$0\.1234567 is reported as spent and \$0\.8765433 is not accounted for/)
    .waitFor()
  await page.getByLabel('Spent in total, in dollars: $0.1234567 or more').fill('much')
  await page.getByLabel('Reason').fill('usage export')
  await page.getByRole('button', { name: 'Resolve', exact: true }).last().click()
  await page.getByText('“much” is not an amount in dollars. Write it as 25 or 25.00').waitFor()
  // The error goes away while the amount is corrected.
  await page.getByLabel('Spent in total, in dollars').fill('0.42')
  expect(await page.getByRole('dialog').getByRole('alert').count()).toBe(0)
  await page.getByLabel('Reason').fill('usage export of 12 May')
  await page.getByRole('button', { name: 'Resolve', exact: true }).last().click()
  await page.getByText('$0.42').waitFor()
  await expect.poll(() => page.getByText('quarantined').count()).toBe(0)
  expect((await fleet.audit(organizationId, 1))[0]).toMatchObject({ action: 'lease.resolved' })
  await page.getByRole('button', { name: /^Approve request/ }).click()
  await page.getByText('bob asks for $4.00 more for the organization: a large import').waitFor()
  await page.getByLabel('Your reason').fill('agreed')
  await page.getByRole('button', { name: 'Approve', exact: true }).last().click()
  await page.getByText('$9.00').waitFor()
  await page.getByText('approved').waitFor()
  expect((await fleet.audit(organizationId, 1))[0]).toMatchObject({ action: 'request.approved' })
  expect(faults).toEqual([])

  await look(page)
  await page.getByRole('link', { name: 'Spending' }).click()
  await page.getByText('gpt-4o').first().waitFor()
  await look(page)
  await page.getByLabel('Divided by').selectOption('machine')
  await page.getByRole('cell', { name: 'laptop', exact: true }).waitFor()
  await page.getByRole('link', { name: 'Incidents' }).click()
  await page.getByRole('cell', { name: /E-?mail/i }).waitFor()
  const unusual = page.getByRole('region', { name: 'Spending that left its usual range' })
  await unusual.getByRole('row', { name: /agent lead_gen \$2\.50 \$0\.10$/ }).waitFor()
  await look(page)
  const place = { name: 'CRM_KEY', environment: 'production', agent: 'lead_gen' } as const
  await page.getByRole('link', { name: 'Secrets' }).click()
  await page.getByText('The organization has no secrets yet').waitFor()
  for (const value of ['first-value-of-it', 'second-value-of-it']) await panel.secrets.set(bob, place, value)
  await page.getByRole('button', { name: 'Refresh' }).click()
  await page.getByRole('row', { name: /^CRM_KEY production lead_gen .* 1 bob$/ }).waitFor()
  expect(await page.content()).not.toMatch(/of-it|seco/)
  await look(page)
  await page.getByRole('link', { name: 'Audit' }).click()
  await page.getByText('lease.resolved').waitFor()
  await page.getByRole('button', { name: 'Verify' }).click()
  await page.getByText(/chain intact/).waitFor()
  await look(page)
  await page.getByRole('link', { name: 'People' }).click()
  await page.getByRole('button', { name: '+ Add user' }).click()
  await page.getByLabel('User name').fill('carol')
  await page.getByLabel('Password').fill('correct horse')
  await page.getByRole('button', { name: 'Add', exact: true }).click()
  await page.getByText('carol').waitFor()
  await look(page)
  expect(faults).toEqual([])
  await page.getByRole('button', { name: 'Sign out' }).click()

  await page.goto(link)
  // The address differs in its end only: it is no new page yet.
  await page.reload()
  await page.getByText('This link no longer works').waitFor()
  await page.getByLabel('User name').fill('carol')
  await page.getByLabel('Password').fill('correct horse')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('$0.42').waitFor()
  // A viewer sees everything, and changes nothing.
  expect(await page.getByRole('link', { name: 'People' }).count()).toBe(0)
  await page.reload()
  await page.getByText('$0.42').waitFor()
  expect(await page.getByRole('link', { name: 'Audit' }).count()).toBe(0)
  await goTo(page, '#/people')
  await page.getByText('This page is for admins').waitFor()
  expect(await page.getByRole('button', { name: '+ Add user' }).count()).toBe(0)
})

test('a user signs in at an identity provider, and a failure shows its reason', async () => {
  const { issuer } = await openProvider()
  const identityProvider = { issuer, clientId: 'panel', clientSecret: 'secret' }
  const panel = await openTestPanel({ identityProvider, assets: loadAssets(join(root, 'dist/panel')) })
  const { page, faults } = await openPage(browser, `${panel.url.replace('localhost', '127.0.0.1')}/#/spending`)
  const signIn = async () => {
    await page.getByRole('button', { name: `Sign in at ${new URL(issuer).host}` }).click()
    const [login, consent] = [page.getByPlaceholder('Enter any login'), page.getByRole('button', { name: 'Continue' })]
    await login.or(consent).waitFor()
    if (await login.isVisible()) {
      await login.fill('carol')
      await page.getByPlaceholder('and password').fill('any')
      await page.getByRole('button', { name: 'Sign-in' }).click()
    }
    await consent.click()
  }
  await page.getByRole('button', { name: /^Sign in at/ }).waitFor()
  await look(page)
  await signIn()
  await page.getByText('nobody was added to this panel with the address carol@example.com').waitFor()
  expect(page.url()).not.toMatch(/code|state/)
  await look(page)
  // An admin adds her on screen, in another browser.
  const link = `${panel.url}/#/people?code=${await panel.fleet.credentials.newCode(panel.organizationId, 'ada')}`
  const { page: admins } = await openPage(browser, link)
  await admins.getByRole('button', { name: '+ Add user' }).click()
  await admins.getByLabel('User name').fill('carol')
  await admins.getByLabel('E-mail').fill('carol@example.com')
  await admins.getByRole('button', { name: 'Add', exact: true }).click()
  await admins.getByText('carol').waitFor()
  await signIn()
  await page.getByLabel('Divided by').waitFor()
  expect(new URL(page.url())).toMatchObject({ search: '', hash: '#/spending' })
  expect(await page.evaluate(() => Object.keys(sessionStorage))).toEqual(['iron-cage-session'])
  // The provider's page wants fonts, and the panel refused once.
  expect(faults.filter((fault) => !fault.startsWith('Failed to load resource'))).toEqual([])
})

test('an admin configures alert channels on screen, tests them, and resends an alert that was given up', async () => {
  await using receiver = await openReceiver([200, 500])
  const { alerts: config } = panelFileSchema.parse({ alerts: { networks: ['127.0.0.1'] } })
  const panel = await openTestPanel({
    masterKey: 'k7Qe2n0Z-VtYxW1rBs9uLcDpAa3fGh5JmX8iOo4q_Ew',
    alerts: { config, retryPolicy: QUICK },
    assets: loadAssets(join(root, 'dist/panel')),
  })
  const link = `${panel.url}/#/alerts?code=${await panel.fleet.credentials.newCode(panel.organizationId, 'ada')}`
  const { page, faults } = await openPage(browser, link)
  await page.getByText('Nowhere yet.').waitFor()
  await page.getByText('No alert was sent yet').waitFor()
  await look(page)
  const add = async (url: string) => {
    await page.getByLabel('Address').fill(url)
    await page.getByRole('dialog').getByRole('button', { name: 'Add', exact: true }).click()
  }
  await page.getByRole('button', { name: '+ Add webhook' }).click()
  await add('http://10.0.0.1/hook')
  await page.getByText('not a public address').waitFor()
  await page.getByLabel('many sign-ins fail').uncheck()
  await look(page)
  await add(`${receiver.url}/secret-path`)
  await page.getByText(/^a budget is nearly spent, .*somebody asks for more, the books do not agree, by \w/).waitFor()
  await page.getByRole('button', { name: 'Send a test' }).click()
  await receiver.got(1)
  const refresh = page.getByRole('button', { name: 'Refresh' })
  const shown = async (text: RegExp) => {
    await expect
      .poll(async () => {
        await refresh.click()
        return page.getByRole('row').filter({ hasText: text }).count()
      })
      .toBe(1)
  }
  await shown(/INFO Test.*Nothing has happened.*by webhook 127\.0\.0\.1/)
  await page.getByRole('button', { name: 'Send a test' }).click()
  await shown(/not sent by webhook 127\.0\.0\.1.*it answered 500/)
  await look(page)
  receiver.answerWith(200)
  await page.getByRole('button', { name: 'Send again: Test' }).click()
  await receiver.got(2 + QUICK.attempts)
  await expect
    .poll(async () => {
      await refresh.click()
      return page.getByText('not sent').count()
    })
    .toBe(0)
  await page.getByRole('button', { name: /^Remove the webhook/ }).click()
  await page.getByRole('button', { name: 'Really remove?' }).click()
  await page.getByText('Nowhere yet.').waitFor()
  expect(await page.content()).not.toContain('secret-path')
  // The address that was refused.
  expect(faults.filter((fault) => !fault.startsWith('Failed to load resource'))).toEqual([])
})

test("an admin stops an agent of another machine on the page, and that machine's settings mark the values set by the policy", async () => {
  const panel = await openTestPanel({ assets: loadAssets(join(root, 'dist/panel')) })
  const { fleet, organizationId } = panel
  const policy = { safety: { mode: 'block' as const }, budget: { tools: { max_calls: 500 } } }
  await panel.policies.set({ organizationId, name: 'ada' }, policy)
  const invitation = await fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  const path = temporaryFile('state.db')
  await joinMachine(path, panel.url, invitation)
  const { runtime } = await openTestRuntime({
    folder: dirname(path),
    agent: { sandbox: { level: 'off' }, stop_grace_s: 0.2 },
    environment: { PATH: process.env.PATH! },
  })
  const script = join(root, 'test/agents/programs/forever.py')
  const { agentId } = await runtime.supervisor.start({ script })
  const link = `${panel.url}/#code=${await fleet.credentials.newCode(organizationId, 'ada')}`
  const { page, faults } = await openPage(browser, link)
  await page.getByRole('button', { name: `Stop ${agentId}` }).click()
  await page.getByText(`Its processes are ended. ${agentId} runs on machine.`).waitFor()
  await page.screenshot({ path: join(root, 'test-output/fleet-stop.png') })
  await page.getByRole('button', { name: 'Stop', exact: true }).last().click()
  const row = page.getByRole('row').filter({ hasText: 'forever' })
  await row.getByText('stop done').waitFor()
  await row.getByText(/Stopped$/).waitFor()
  // Nothing is left to be ordered.
  expect(await row.getByRole('button').count()).toBe(0)
  await page.screenshot({ path: join(root, 'test-output/fleet-stopped.png') })
  expect(runtime.supervisor.list()[0]!.state).toBe('stopped')

  await page.goto(runtime.dashboardLink())
  await goTo(page, '#/settings')
  await page.getByRole('row', { name: 'safety.mode block Control Panel', exact: true }).waitFor()
  await page.getByRole('row', { name: /^budget.tools.max_calls none 500 from the next start/ }).waitFor()
  await page.getByLabel('also defaults').check()
  await page.getByLabel('Find a setting').fill('loops')
  await page.getByRole('row', { name: 'budget.loops.repeats 10 default', exact: true }).waitFor()
  expect(await page.getByRole('row', { name: /^safety/ }).count()).toBe(0)
  await page.getByLabel('Find a setting').fill('')
  await look(page)
  expect(faults).toEqual([])
})

test('an admin appoints a team lead, who decides on requests of that team and of no other', async () => {
  const panel = await openTestPanel({ assets: loadAssets(join(root, 'dist/panel')) })
  const { fleet, organizationId } = panel
  const ada = { organizationId, name: 'ada' }
  const limits = { organization: null, team: ['research', 'sales'], user: ['grace', 'bob'] } as const
  for (const [scope, names] of Object.entries(limits)) {
    for (const name of names ?? [null]) {
      const limit = dollars(scope === 'user' ? '5' : '20')
      await fleet.setLimit(organizationId, { scope: scope as keyof typeof limits, name }, { limit }, 'ada')
    }
  }
  for (const username of ['lena', 'grace', 'bob']) {
    await fleet.people.add(ada, { username, role: 'viewer', password: 'correct horse' })
  }
  await fleet.teams.set(ada, 'sales', 'bob', 'member')
  const ask = (name: string, amount: string) => {
    const member = { organizationId, role: 'viewer', id: `token-${name}`, name } as const
    return fleet.requests.create(member, { scope: 'user', name }, dollars(amount), 'a larger import')
  }
  const [larger, small, bobs] = [await ask('grace', '4'), await ask('grace', '1'), await ask('bob', '2')]

  const link = `${panel.url}/#/people?code=${await fleet.credentials.newCode(organizationId, 'ada')}`
  const { page: admins, faults: adminsFaults } = await openPage(browser, link)
  const put = async (username: string, team: string, role: string) => {
    await admins.getByRole('button', { name: `Teams of ${username}` }).click()
    await admins.getByLabel(`Role in ${team}`).selectOption(role)
    await admins.getByRole('button', { name: 'Set', exact: true }).click()
    await admins.getByRole('dialog').waitFor({ state: 'detached' })
  }
  await put('lena', 'research', 'lead')
  await put('grace', 'research', 'member')
  await put('grace', 'sales', 'member')
  await put('grace', 'sales', '')
  await admins.locator('.users .row', { hasText: 'lena' }).getByText('research, lead').waitFor()
  await look(admins)
  await admins.getByRole('button', { name: 'Teams of lena' }).click()
  await look(admins)
  const { members } = await fleet.teams.list(organizationId)
  expect(members.map(({ team, username, role }) => [team, username, role])).toEqual([
    ['research', 'grace', 'member'],
    ['research', 'lena', 'lead'],
    ['sales', 'bob', 'member'],
  ])

  const { page, faults } = await openPage(browser, panel.url)
  await page.getByLabel('User name').fill('lena')
  await page.getByLabel('Password').fill('correct horse')
  await page.getByRole('button', { name: 'Sign in' }).click()
  const decide = async (verb: string, { id }: { id: string }, reason: string) => {
    await page.getByRole('button', { name: `${verb} ${id}` }).click()
    await page.getByLabel('Your reason').fill(reason)
    await page.getByRole('dialog').getByRole('button', { name: verb, exact: true }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
  }
  await page.getByRole('button', { name: `Approve ${larger.id}` }).waitFor()
  await look(page)
  await decide('Approve', larger, 'agreed')
  await page.getByRole('row', { name: /^user grace .*\$9\.00/ }).waitFor()
  await decide('Reject', small, 'enough for now')
  await page.getByText('rejected').waitFor()
  // Bob is of another team: the page offers no button, and the panel refuses the action.
  expect(await page.getByRole('button', { name: new RegExp(bobs.id) }).count()).toBe(0)
  const refused = page.waitForResponse((response) => response.url().endsWith('/approve'))
  await page.evaluate(async (id) => {
    const { access_token } = JSON.parse(sessionStorage.getItem('iron-cage-session')!) as { access_token: string }
    const headers = { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' }
    await fetch(`/api/fleet/requests/${id}/approve`, { method: 'POST', headers, body: '{"reason":"agreed"}' })
  }, bobs.id)
  expect((await refused).status()).toBe(403)
  await page.getByText('1 to decide').waitFor()
  const invitation = await fleet.credentials.invite(organizationId, { team: 'research', user: 'grace' }, 'x', 'ada')
  const laptop = await fleet.credentials.join((await fleet.credentials.identify(invitation))!, 'laptop', '1')
  const ofAgent = await fleet.agentRequests.ask(
    { organizationId, role: 'runtime', id: laptop.runtimeId, name: laptop.name },
    { names: { agent: 'scout', token: null }, amount: dollars('3'), reason: 'more leads' },
  )
  await page.getByRole('row', { name: /^user grace \$3\.00 scout on laptop more leads/ }).waitFor()
  await decide('Approve', ofAgent, 'agreed')
  await page.getByRole('row', { name: /^user grace .*\$12\.00/ }).waitFor()
  await page.getByRole('button', { name: 'Ask for more of the budget of team research' }).click()
  await page.getByLabel('How much more').fill('10')
  await page.getByLabel('Reason').fill('two more people')
  await look(page)
  await page.getByRole('button', { name: 'Ask', exact: true }).click()
  await page.getByRole('row', { name: /^team research \$10\.00 lena two more people pending$/ }).waitFor()

  await goTo(admins, '#/')
  const inDialog = (name: string) => admins.getByRole('dialog').getByRole('button', { name, exact: true }).click()
  await admins.getByRole('button', { name: 'Change the budget of team research' }).click()
  await admins.getByLabel('Limit in US dollars').fill('30')
  await admins.getByLabel('Renews').selectOption('month')
  await inDialog('Set')
  await admins.getByRole('row', { name: /^team research · each month .*\$30\.00/ }).waitFor()
  for (const name of ['research', 'lead-gen']) {
    await admins.getByRole('button', { name: '+ Add budget' }).click()
    await admins.getByLabel('Name', { exact: true }).fill(name)
    await admins.getByLabel('Limit in US dollars').fill('3')
    await inDialog('Add')
    if (name !== 'research') continue
    await admins.getByText('team research already has a budget').waitFor()
    await inDialog('Cancel')
  }
  await admins.getByRole('row', { name: /^team lead-gen .*\$3\.00/ }).waitFor()
  await admins.getByRole('button', { name: '+ Invite a machine' }).click()
  await admins.getByLabel('budget of the team').selectOption('research')
  await inDialog('Invite')
  const command = await admins.getByText(/^iron-cage join/).innerText()
  expect(command).toContain(`iron-cage join ${panel.url} --token ic_`)
  await look(admins)
  await joinMachine(temporaryFile('state.db'), panel.url, command.trim().split(' ').at(-1)!)
  await admins.getByRole('row', { name: /^machine / }).waitFor()
  expect(faults.filter((fault) => !fault.includes('403'))).toEqual([])
  expect(adminsFaults).toEqual([])
})

let pictures = 0

/** Accessible in both themes, and nothing cut on a phone. */
async function look(page: Page): Promise<void> {
  for (const { colorScheme, rules } of THEMES) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    expect(await findings(page, rules)).toEqual([])
  }
  pictures += 1
  await page.screenshot({ path: join(root, `test-output/fleet-${pictures}.png`) })
  await resizeTo(page, 390, 844)
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
  // Rows of tables, and their buttons, are reached without scrolling sideways.
  expect(
    await page.evaluate(() =>
      [...document.querySelectorAll('.scroll')]
        .filter((box) => box.scrollWidth > box.clientWidth)
        .map((box) => box.ariaLabel),
    ),
  ).toEqual([])
  await page.screenshot({ path: join(root, `test-output/fleet-${pictures}-phone.png`) })
  await resizeTo(page, 1920, 1080)
}
