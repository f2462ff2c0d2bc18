/**
 * node scripts/release/way-back.ts <commit or tag>: builds that version, which may use the database of this one, and runs a
 * panel of it before, beside and after one of this version, while a machine of that version borrows, spends and reports. A
 * line for each thing that was so, and exit code 1 at the first that is not. Needs `npm run build`, the registry of packages,
 * and PostgreSQL.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { openBalancer } from '../../test/panel/balancer.ts'
import { startCluster } from '../../test/panel/postgres.ts'
import { freePort } from '../../test/support/free-port.ts'

const NEW = resolve(import.meta.dirname, '../..')
const PATIENCE_MS = 60_000
const folder = mkdtempSync(join(tmpdir(), 'iron-cage-way-back-'))
const OLD = join(folder, 'old')
const started: ChildProcess[] = []

const execute = promisify(execFile)
/** Without blocking: the balancer is in this process. */
async function run(
  program: string,
  args: readonly string[],
  cwd: string,
  input = '',
  env: Record<string, string> = {},
) {
  const running = execute(program, args, { cwd, env: { ...process.env, HOME: folder, NO_COLOR: '1', ...env } })
  running.child.stdin!.end(input)
  return (await running).stdout.trim()
}
const git = (...args: string[]) => execFileSync('git', args, { cwd: NEW, encoding: 'utf8' }).trim()

function check(sentence: string, isTrue: boolean, found: unknown): void {
  if (!isTrue) throw new Error(`not so: ${sentence}\n${String(found)}`)
  console.log(sentence)
}

async function build(commit: string): Promise<void> {
  git('worktree', 'add', '--detach', OLD, commit)
  await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], OLD)
  await run(process.execPath, ['scripts/build.mjs', '--quiet'], OLD)
}

async function until(what: string, isSo: () => Promise<boolean> | boolean): Promise<void> {
  for (const begunAt = Date.now(); !(await isSo()); await wait(100)) {
    if (Date.now() - begunAt > PATIENCE_MS) throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what}`)
  }
}

const cluster = await startCluster()
try {
  const [commit] = process.argv.slice(2)
  if (commit === undefined) throw new Error('usage: node scripts/release/way-back.ts <commit or tag>')
  await build(commit)
  await tryWayBack(commit)
} catch (error) {
  console.error(error)
  process.exitCode = 1
} finally {
  for (const child of started) child.kill('SIGKILL')
  await cluster.remove()
  git('worktree', 'remove', '--force', OLD)
  rmSync(folder, { recursive: true, force: true })
}
// Whatever is still open here ends with the script.
process.exit()

async function tryWayBack(commit: string): Promise<void> {
  const database = await cluster.newDatabase()
  const reader = new pg.Client({ connectionString: database, options: '-c iron_cage.organization=*' })
  await reader.connect()
  reader.on('error', () => {})
  const numberOf = async (query: string) => Number((await reader.query<{ n: string }>(query)).rows[0]!.n)
  const versionOf = () => numberOf("SELECT value AS n FROM panel_meta WHERE key = 'version'")
  const ports = { old: await freePort(), new: await freePort() }
  const balancer = await openBalancer(Object.values(ports))
  const startPanel = async (root: string, port: number) => {
    const flags = ['--database', database, '--port', String(port), '--allowed-hosts', new URL(balancer.url).host]
    const panel = spawn(process.execPath, [join(root, 'bin/iron-cage.cjs'), 'panel', ...flags], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    started.push(panel)
    await until('the panel is ready', () => balancer.ready.has(port))
    return async () => {
      const ended = once(panel, 'exit')
      panel.kill('SIGTERM')
      const [code] = await ended
      await until('its balancer knows', () => !balancer.ready.has(port))
      if (code !== 0) throw new Error(`a panel ended with ${code}`)
    }
  }

  const stopOld = await startPanel(OLD, ports.old)
  const before = await versionOf()
  console.log(`the panel of ${commit} makes tables of version ${before}`)
  const words = ['panel', 'token', '--role', 'admin', '--name', 'ada', '--database', database]
  const token = await run(process.execPath, [join(OLD, 'bin/iron-cage.cjs'), ...words], folder)
  /** Types a command of one version, to the panel of one. */
  const type = (root: string, port: number, command: string, input = '') =>
    run(process.execPath, [join(root, 'bin/iron-cage.cjs'), ...command.split(' ')], folder, input, {
      ...{ IRON_CAGE_URL: `http://127.0.0.1:${port}`, IRON_CAGE_TOKEN: token },
    })
  const readAll = async (port: number) => {
    for (const path of [
      '/',
      '/api/fleet',
      '/api/fleet/spending?by=machine',
      '/api/fleet/incidents',
      '/api/openapi.json',
    ]) {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization: `Bearer ${token}` } })
      if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    }
    const lists = ['runtimes list', 'users list', 'requests list', 'budget get --org', 'tokens list']
    const root = port === ports.old ? OLD : NEW
    return (await Promise.all(lists.map((command) => type(root, port, command)))).join('\n')
  }
  await type(OLD, ports.old, 'budget set --org 100')
  const home = join(folder, 'machine')
  mkdirSync(home)
  const invitation = await type(OLD, ports.old, 'runtimes invite')
  await run(process.execPath, [join(OLD, 'bin/iron-cage.cjs'), 'join', balancer.url, '--token', invitation], home)
  const provider = join(folder, 'provider')
  writeFileSync(provider, '')
  const program = join(OLD, 'scripts/soak/fleet/machine.ts')
  const machine = spawn(process.execPath, [program, join(home, 'iron_state.db'), provider, 'machine', '2'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  started.push(machine)
  let printed = ''
  machine.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString()
  })
  const costs = () =>
    readFileSync(provider, 'utf8')
      .trim()
      .split('\n')
      .map((line) => Number(line.split(' ')[1] ?? 0))
  /** Waits until machines have gone on for a while. */
  const goOn = async (where: string) => {
    const counted = async () =>
      [
        costs().length,
        await numberOf('SELECT count(*) AS n FROM leases'),
        await numberOf('SELECT count(*) AS n FROM events'),
      ] as const
    const [calls, leases, events] = await counted()
    await until(`${where}, calls, leases and events go on`, async () => {
      const [more, lent, reported] = await counted()
      return more > calls + 200 && lent > leases + 1 && reported > events + 200
    })
    console.log(`${where}, a machine makes calls, borrows, and its events are stored`)
  }
  await goOn('with it alone')
  await readAll(ports.old)

  const stopNew = await startPanel(NEW, ports.new)
  check(`with this version they have version ${await versionOf()}`, (await versionOf()) >= before, before)
  await goOn('with both side by side')
  await type(NEW, ports.new, 'budget set --org 90')
  check('what is set at the new one is read at the old one', (await readAll(ports.old)).includes('$90.00'), '')
  await type(OLD, ports.old, 'budget set --org 100')
  check('and the other way', (await readAll(ports.new)).includes('$100.00'), '')
  for (const command of ['users add ada --role admin', 'users add bob --role viewer'])
    await type(NEW, ports.new, command, 'correct horse')
  await type(NEW, ports.new, 'budget set --team research 20 --period day')
  await type(NEW, ports.new, 'teams add research bob --lead')
  await type(NEW, ports.new, 'requests create 20 --team research --reason import')
  writeFileSync(join(folder, 'strict.yaml'), 'budget: { tools: { max_calls: 5 } }\n')
  await type(NEW, ports.new, 'policy set strict.yaml --env production')
  await goOn('with what only the new one knows in the tables')

  await stopOld()
  await goOn('with the new one alone')
  const stopOldAgain = await startPanel(OLD, ports.old)
  await stopNew()
  const read = await readAll(ports.old)
  check(
    'an old one starts on the migrated tables, and lists what both wrote',
    /bob/.test(read) && /import/.test(read),
    read,
  )
  await goOn('with it alone, on the way back')

  const stopNewAgain = await startPanel(NEW, ports.new)
  await stopOldAgain()
  await goOn('with the new one again')
  await readAll(ports.new)
  const ended = once(machine, 'exit')
  machine.kill('SIGTERM')
  const [code] = await ended
  const { refused } = JSON.parse(printed.trim().split('\n').at(-1)!) as { refused: Record<string, number> }
  check(
    `of ${costs().length} calls of the machine none was refused`,
    code === 0 && Object.keys(refused).length === 0,
    printed,
  )
  const failed = [...balancer.answers].filter(([answer]) => !answer.startsWith('20'))
  console.log(
    `of ${[...balancer.answers.values()].reduce((sum, n) => sum + n, 0)} requests ${failed.map(([answer, n]) => `${n} × ${answer}`).join(', ') || 'none'} failed`,
  )
  const spent = costs().reduce((sum, cost) => sum + cost, 0)
  const settled = await numberOf("SELECT settled_nanos AS n FROM budgets WHERE scope = 'organization'")
  check('what the provider was sent is what is settled', settled === spent, `${settled} of ${spent}`)
  const lent = await numberOf("SELECT count(*) AS n FROM leases WHERE state <> 'closed'")
  check('nothing is lent any more', lent === 0, lent)
  const events = await numberOf('SELECT count(*) AS n FROM events')
  const distinct = await numberOf(
    'SELECT count(*) AS n FROM (SELECT DISTINCT runtime_id, journal_id, seq FROM events) AS known',
  )
  check(`each of ${events} events is stored once`, events === distinct, distinct)
  const counted = await numberOf('SELECT sum(calls) AS n FROM spending')
  check('and each call is counted once', counted === costs().length, counted)
  await stopNewAgain()
  const doctor = await run(
    process.execPath,
    [join(NEW, 'bin/iron-cage.cjs'), 'panel', 'doctor', '--database', database],
    folder,
  )
  check('the books agree', doctor.includes('ok:'), doctor)
}
