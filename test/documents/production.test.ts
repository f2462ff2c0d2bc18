/** docs/production.md for an admin: its own commands, on two machines, one of which is lost. */
import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { toAgentId, toRunId } from '../../src/core/ids.ts'
import { usd } from '../../src/core/money.ts'
import { databaseFiles } from '../../src/db/files.ts'
import type { LeaseView, RuntimeView, SharedBudgetView } from '../../src/panel/fleet-view.ts'
import { openMailbox, openReceiver } from '../alerts/support.ts'
import { createPanelDatabase, Run } from '../cli/support.ts'
import { openMachine } from '../panel/machine.ts'
import { startCluster } from '../panel/postgres.ts'
import { openBrowser, openPage } from '../support/browser.ts'
import { freePort } from '../support/free-port.ts'
import { dollars } from '../support/money.ts'
import { answer, FakeProvider } from '../support/provider.ts'
import { pictures } from '../support/show.ts'
import { commandsOf, productionPage, superuserCommand, wordsOf } from './quoted.ts'

const root = resolve(import.meta.dirname, '../..')
const run = promisify(execFile)

/** A folder for the page's commands, with a panel on its own port. */
async function openDesk() {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-production-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const port = String(await freePort())
  const env: Record<string, string> = { PATH: process.env.PATH!, HOME: folder, NO_COLOR: '1' }
  const typed = async (command: string, cwd = folder, input = '') => {
    const args = wordsOf(command)
      .slice(1)
      .map((word) => word.replace('8090', port))
    const running = run(process.execPath, [join(root, 'bin/iron-cage.cjs'), ...args], { cwd, env })
    running.child.stdin!.end(input)
    return (await running).stdout.trim()
  }
  /** Opens a panel, signs in with the link that it prints, and gives the organization $5. */
  const openPanel = async (command: string, environment: Record<string, string> = {}) => {
    const args = command.replace('8090', port).split(' ').slice(1)
    await typed('iron-cage keygen --out panel.key')
    const panel = spawn(process.execPath, [join(root, 'bin/iron-cage.cjs'), ...args, '--lease-ttl', '2'], {
      cwd: folder,
      env: { ...env, ...environment, IRON_CAGE_MASTER_KEY_FILE: join(folder, 'panel.key') },
    })
    onTestFinished(() => void panel.kill('SIGKILL'))
    let printed = ''
    panel.stdout.on('data', (chunk: Buffer) => {
      printed += chunk.toString()
    })
    await expect.poll(() => printed).toContain('runtimes invite')
    expect(printed).not.toContain('ic_')
    const [exported, login, setBudget] = commandsOf('admin')
    expect(exported).toBe('export IRON_CAGE_URL=http://localhost:8090')
    env.IRON_CAGE_URL = `http://localhost:${port}`
    await typed(login!.replace('code_…', /login --link .*#code=(\S+?)"/.exec(printed)![1]!))
    await typed(setBudget!)
  }
  /** Two machines, each in a folder, join. Returns the folders. */
  const joinTwo = async () => {
    const [, , , invite] = commandsOf('admin')
    const [join_] = commandsOf('machine')
    return Promise.all(
      ['one', 'other'].map(async (name) => {
        const own = join(folder, name)
        mkdirSync(own)
        await typed(`${join_!.replace('ic_…', await typed(invite!))} --name ${name}`, own)
        return own
      }),
    )
  }
  const runtimes = async () => JSON.parse(await typed('iron-cage runtimes list --json')) as RuntimeView[]
  const organization = async () => JSON.parse(await typed('iron-cage budget get --org --json')) as SharedBudgetView[]
  return { folder, env, url: `http://localhost:${port}`, typed, openPanel, joinTwo, runtimes, organization }
}

test('two machines share $5; one is killed and loses its disk, the other continues, and a person resolves the lost spending', async () => {
  const { folder, env, typed, openPanel, joinTwo, runtimes, organization } = await openDesk()
  await createPanelDatabase({ folder })
  const bob = await typed('iron-cage panel token --name bob')
  const [withAlerts, addAdmin] = commandsOf('alerts')
  await using mailbox = await openMailbox()
  await using receiver = await openReceiver()
  const page = productionPage()
  const file = /for example `panel.yaml`:\n\n```yaml\n([^`]+)```/.exec(page)![1]!
  const local = file
    .replace('smtp://localhost:25', mailbox.url)
    .replace('https://hooks.slack.com', new URL(receiver.url).origin)
  writeFileSync(join(folder, 'panel.yaml'), local)
  await openPanel(withAlerts!)
  await typed(addAdmin!)
  const [create, listRequests, approve] = commandsOf('requests')
  await typed('iron-cage budget set --team research 20')
  env.IRON_CAGE_TOKEN = bob
  const [id] = (await typed(create!)).split(' ')
  delete env.IRON_CAGE_TOKEN
  expect(await typed(listRequests!)).toContain(id)
  await expect
    .poll(() => mailbox.messages.join(), { timeout: 20_000 })
    .toMatch(/To: heidi@example.com[\s\S]+Approval needed/)
  const [listAlerts, testAlerts] = commandsOf('test alerts')
  expect(await typed(listAlerts!)).toMatch(/Approval needed — team research +e-mail/)
  expect(await typed(testAlerts!)).toMatch(/^e-mail +delivered\nwebhook 127.0.0.1:\d+ +delivered$/)
  expect(await typed(approve!.replace('request-…', id!))).toContain('the limit is raised')
  for (const command of commandsOf('levels')) expect(await typed(command)).toMatch(/a (day|month)/)
  await typed('iron-cage budget set --org 5 --period none')
  expect(await typed(commandsOf('cover')[0]!)).toContain('15 min')
  const [addUser, signIn, generate] = commandsOf('people')
  await typed(addUser!, folder, 'correct horse')
  await typed(signIn!, folder, 'correct horse')
  expect(await typed(generate!)).toMatch(/^ic_/)
  for (const command of commandsOf('provider')) await typed(command)
  expect(await typed('iron-cage users list --json')).toContain('"email": "grace.h@example.com"')
  const [addLead, addMember, listTeams] = commandsOf('teams')
  await typed(addLead!)
  await typed(addMember!)
  expect(await typed(listTeams!)).toMatch(/research +ada +lead\n.*research +grace +member/)
  const databases = (await joinTwo()).map((own) => join(own, 'iron_state.db'))

  const machine = join(root, 'scripts/soak/fleet/machine.ts')
  const lost = spawn(process.execPath, [machine, databases[0]!, join(folder, 'provider'), 'lost', '1'])
  onTestFinished(() => void lost.kill('SIGKILL'))
  // Its first call has a lease; later ones would borrow most of the budget.
  const paid = () => (existsSync(join(folder, 'provider')) ? statSync(join(folder, 'provider')).size : 0)
  await expect.poll(paid, { interval: 5 }).toBeGreaterThan(0)
  // Its process is gone, and so is its disk.
  lost.kill('SIGKILL')
  for (const file of databaseFiles(databases[0]!)) rmSync(file, { force: true })
  const other = openMachine(databases[1]!)
  onTestFinished(() => other.close().catch(() => undefined))
  await other.call('1', async () => dollars('1'))

  other.state.record({
    type: 'agent.started',
    level: 'OK',
    agent_id: toAgentId('lg-7a3f'),
    message: 'started',
    data: {
      ...{
        run_id: toRunId('run-1'),
        name: 'leads',
        script: 'leads.py',
        environment: 'development',
        pid: 1,
        restart: 0,
      },
      ...{ limit_usd: usd('5'), safety_mode: 'redact', detect: [] },
    },
  })
  await expect.poll(async () => (await runtimes()).some(({ agents }) => agents.length > 0)).toBe(true)
  for (const command of commandsOf('control')) expect(await typed(command)).toMatch(/ was asked to \w+ lg-7a3f$/)

  writeFileSync(join(folder, 'key.txt'), 'sk-of-the-organization')
  const [machineOne] = await runtimes()
  const [setAll, setOne, allow, listSecrets] = commandsOf('secrets')
  for (const command of [setAll!, setOne!]) {
    expect(command).toMatch(/ < key\.txt$/)
    await typed(command.replace('< key.txt', '--from-file key.txt'))
  }
  expect(await typed(allow!.replace('runtime-…', machineOne!.id))).toContain('development, production')
  expect(await typed(listSecrets!)).toMatch(
    /CRM_KEY +production, agents named lead_gen[\s\S]*OPENAI_API_KEY +every env/,
  )

  writeFileSync(join(folder, 'policy.yaml'), /must have:\n\n```yaml\n([^`]+)```/.exec(page)![1]!)
  const [setPolicy, showPolicy] = commandsOf('policy')
  const [setStrict] = commandsOf('strict')
  expect(await typed(setPolicy!)).toBe('policy 1 is set for all machines')
  writeFileSync(join(folder, 'strict.yaml'), 'budget: { tools: { max_calls: 5 } }\n')
  expect(await typed(setStrict!)).toBe('policy 2 is set for production')
  expect(await typed(showPolicy!)).toMatch(/production +budget\.tools\.max_calls +5/)
  expect(await typed(showPolicy!)).toMatch(/safety\.mode +block/)
  expect(await typed('iron-cage policy clear')).toContain('no policy')

  await typed('iron-cage budget set --user jane@example.com 1')
  const [tryErasing, eraseCommand] = commandsOf('erase')
  expect(await typed(tryErasing!)).toBe('rows that would be changed: budgets 1, audit 1')
  expect(await typed(eraseCommand!)).toMatch(/^replaced by erased-\w+; rows changed: budgets 1, audit 1$/)

  const [list, resolveCommand] = commandsOf('resolve')
  expect(list).toBe('iron-cage runtimes list')
  const expired = async (): Promise<LeaseView[]> =>
    (await runtimes()).flatMap(({ leases }) => leases.filter(({ state }) => state === 'expired'))
  await expect.poll(async () => (await expired()).length).toBeGreaterThan(0)
  for (const { id } of await expired()) await typed(resolveCommand!.replace('lease-…', id))
  await other.call('1', async () => dollars('1'))
  await other.close()
  const [budget] = await organization()
  expect(budget).toMatchObject({ limit_usd: '5', lent_usd: '0' })
  expect(Number(budget!.settled_usd)).toBeGreaterThanOrEqual(2.04)
  expect(Number(budget!.settled_usd) + Number(budget!.free_usd)).toBeCloseTo(5, 9)
})

/** Calls until it is stopped; money lent to others may come back. */
const AGENT = `import json, os, urllib.error, urllib.request
url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
message = {"role": "user", "content": "Go."}
body = json.dumps({"model": "gpt-4", "max_tokens": 2000, "messages": [message]}).encode()
headers = {"content-type": "application/json", "authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
while True:
    try:
        urllib.request.urlopen(urllib.request.Request(url, body, headers)).read()
    except urllib.error.HTTPError:
        pass
`
/** Of a call: five tokens in, two thousand out. */
const COST = 0.12015

test('with PostgreSQL from Debian, a person resolves the spending of a killed server on screen, and the other server spends the rest', async () => {
  const { folder, url, typed, openPanel, joinTwo, organization } = await openDesk()
  const [cluster, provider, browser] = await Promise.all([startCluster(), FakeProvider.open(), openBrowser()])
  const [createRole, createDatabase, password, panelCommand] = commandsOf('postgres')
  for (const command of [createRole!, createDatabase!]) {
    await run(...superuserCommand(command), { env: cluster.environment })
  }
  const [, PGPASSWORD] = /^export PGPASSWORD=(.+)$/.exec(password!)!
  await openPanel(panelCommand!, { PGPORT: cluster.environment.PGPORT!, PGPASSWORD: PGPASSWORD! })
  const [one, other] = await joinTwo()
  const servers: Run[] = []
  const startIn = (own: string, key: string) => {
    writeFileSync(join(own, 'agent.py'), AGENT)
    const config = { server: { port: 0 }, providers: { openai: { base_url: `${provider.url}/v1` } } }
    writeFileSync(join(own, 'iron-cage.yaml'), JSON.stringify(config))
    const server = new Run(own, ['start', 'agent.py', '--budget', '100'], { env: { OPENAI_API_KEY: key } })
    servers.push(server)
    return server
  }
  onTestFinished(async () => {
    for (const server of servers) server.child.kill('SIGKILL')
    await Promise.all([browser.close(), provider.close(), ...servers.map(({ ended }) => ended)])
    await cluster.remove()
  })

  // The provider charges for it; its caller never gets the answer.
  provider.doesOnce(() => new Promise(() => {}))
  provider.does(answer({ model: 'gpt-4', usage: { prompt_tokens: 5, completion_tokens: 2_000, total_tokens: 2_005 } }))
  const lost = startIn(one!, 'sk-one')
  await provider.arrived(1)
  lost.child.kill('SIGKILL')
  await lost.ended
  rmSync(one!, { recursive: true, force: true, maxRetries: 5 })

  const goesOn = startIn(other!, 'sk-other')
  await provider.arrived(2)
  const [addUser] = commandsOf('people')
  await typed(addUser!, folder, 'correct horse')
  const { page, faults } = await openPage(browser, url)
  await page.getByLabel('User name').fill('ada')
  await page.getByLabel('Password').fill('correct horse')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('expired').waitFor()
  await page.screenshot({ path: join(pictures, 'production-lost.png') })
  await page.getByRole('button', { name: /^Resolve lease/ }).click()
  await page.getByLabel('Spent in total, in dollars').fill(String(COST))
  await page.getByLabel('Reason').fill('one call in the usage export of the provider')
  await page.screenshot({ path: join(pictures, 'production-resolve.png') })
  await page.getByRole('button', { name: 'Resolve', exact: true }).last().click()
  await expect.poll(() => page.getByText('expired').count()).toBe(0)

  // Stopped by the budget.
  expect((await goesOn.ended).code, goesOn.err).toBe(3)
  const spent = provider.requests.length * COST
  expect(spent).toBeLessThanOrEqual(5)
  expect(spent).toBeGreaterThan(5 - 2 * COST)
  const [budget] = await organization()
  expect(budget).toMatchObject({ limit_usd: '5', lent_usd: '0' })
  expect(Number(budget!.settled_usd)).toBeCloseTo(spent, 9)
  await page.getByText('Stopped by budget').waitFor()
  await page.screenshot({ path: join(pictures, 'production-resolved.png') })
  expect(faults).toEqual([])
})
