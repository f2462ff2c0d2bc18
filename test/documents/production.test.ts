/** docs/production.md as somebody follows it: its own commands, on two machines, one of which is lost. */
import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { databaseFiles } from '../../src/db/files.ts'
import { toAgentId, toRunId } from '../../src/ids.ts'
import { usd } from '../../src/money.ts'
import type { LeaseView, RuntimeView, SharedBudgetView } from '../../src/panel/fleet-view.ts'
import { openMachine } from '../panel/machine.ts'
import { freePort } from '../support/free-port.ts'
import { dollars } from '../support/money.ts'

const root = resolve(import.meta.dirname, '../..')
const run = promisify(execFile)

/** The commands below a mark of the page. */
function commandsOf(mark: string): string[] {
  const text = readFileSync(join(root, 'docs/production.md'), 'utf8')
  const [, block] = new RegExp(`<!-- run: ${mark} -->\n\`\`\`sh\n([^\`]+)\`\`\``).exec(text)!
  return block!.trim().split('\n')
}

test('two machines share $5; one is killed and loses its disk, the other goes on, and a person resolves what was lost', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-production-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const port = String(await freePort())
  const env: Record<string, string> = { PATH: process.env.PATH!, HOME: folder, NO_COLOR: '1' }
  const typed = async (command: string, cwd = folder, input = '') => {
    const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!)
    const args = words.slice(1).map((word) => word.replace('8090', port))
    const running = run(process.execPath, [join(root, 'dist/iron-cage.mjs'), ...args], { cwd, env })
    running.child.stdin!.end(input)
    return (await running).stdout.trim()
  }

  const bob = await typed('iron-cage panel token --name bob')
  const [panelCommand] = commandsOf('panel')
  const args = panelCommand!.replace('8090', port).split(' ').slice(1)
  await typed('iron-cage keygen --out panel.key')
  const panel = spawn(process.execPath, [join(root, 'dist/iron-cage.mjs'), ...args, '--lease-ttl', '2'], {
    cwd: folder,
    env: { ...env, IRON_CAGE_MASTER_KEY_FILE: join(folder, 'panel.key') },
  })
  onTestFinished(() => void panel.kill('SIGKILL'))
  let printed = ''
  panel.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString()
  })
  await expect.poll(() => printed).toContain('runtimes invite')

  const [exported, login, setBudget, invite] = commandsOf('admin')
  expect(exported).toBe('export IRON_CAGE_URL=http://localhost:8090')
  expect(printed).not.toContain('ic_')
  env.IRON_CAGE_URL = `http://localhost:${port}`
  await typed(login!.replace('code_…', /login --link .*#code=(\S+?)"/.exec(printed)![1]!))
  await typed(setBudget!)
  const [create, listRequests, approve] = commandsOf('requests')
  await typed('iron-cage budget set --team research 20')
  env.IRON_CAGE_TOKEN = bob
  const [id] = (await typed(create!)).split(' ')
  delete env.IRON_CAGE_TOKEN
  expect(await typed(listRequests!)).toContain(id)
  expect(await typed(approve!.replace('request-…', id!))).toContain('the limit is raised')
  for (const command of commandsOf('levels')) expect(await typed(command)).toMatch(/a (day|month)/)
  await typed('iron-cage budget set --org 5 --period none')
  expect(await typed(commandsOf('cover')[0]!)).toContain('15 min')
  const [addUser, signIn, generate] = commandsOf('people')
  await typed(addUser!, folder, 'correct horse')
  await typed(signIn!, folder, 'correct horse')
  expect(await typed(generate!)).toMatch(/^ic_/)
  await typed(commandsOf('provider')[0]!)
  expect(await typed('iron-cage users list --json')).toContain('"email": "grace@example.com"')
  const [join_] = commandsOf('machine')
  const databases = await Promise.all(
    ['one', 'other'].map(async (name) => {
      const own = join(folder, name)
      mkdirSync(own)
      await typed(join_!.replace('ic_…', await typed(invite!)), own)
      return join(own, 'iron_state.db')
    }),
  )

  const machine = join(root, 'scripts/soak/fleet/machine.ts')
  const lost = spawn(process.execPath, [machine, databases[0]!, join(folder, 'provider'), 'lost', '1'])
  onTestFinished(() => void lost.kill('SIGKILL'))
  const runtimes = async () => JSON.parse(await typed('iron-cage runtimes list --json')) as RuntimeView[]
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

  const page = readFileSync(join(root, 'docs/production.md'), 'utf8')
  writeFileSync(join(folder, 'policy.yaml'), /must have:\n\n```yaml\n([^`]+)```/.exec(page)![1]!)
  const [setPolicy, showPolicy] = commandsOf('policy')
  expect(await typed(setPolicy!)).toBe('policy 1 is set')
  expect(await typed(showPolicy!)).toMatch(/safety\.mode +block/)
  expect(await typed('iron-cage policy clear')).toContain('no policy')

  const [list, resolveCommand] = commandsOf('resolve')
  expect(list).toBe('iron-cage runtimes list')
  const expired = async (): Promise<LeaseView[]> =>
    (await runtimes()).flatMap(({ leases }) => leases.filter(({ state }) => state === 'expired'))
  await expect.poll(async () => (await expired()).length).toBeGreaterThan(0)
  for (const { id } of await expired()) await typed(resolveCommand!.replace('lease-…', id))
  await other.call('1', async () => dollars('1'))
  await other.close()
  const [budget] = JSON.parse(await typed('iron-cage budget get --org --json')) as SharedBudgetView[]
  expect(budget).toMatchObject({ limit_usd: '5', lent_usd: '0' })
  expect(Number(budget!.settled_usd)).toBeGreaterThanOrEqual(2.42)
  expect(Number(budget!.settled_usd) + Number(budget!.free_usd)).toBeCloseTo(5, 9)
})
