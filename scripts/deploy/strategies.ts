/**
 * Deploys one agent with every strategy, as a user would, on a machine that has joined a Control Panel: the same reply, priced and
 * redacted, a secret of the vault that is in no image and no file, and a stop at the limit. Writes the table of docs/deployment.md.
 *
 *     npm run deploy:strategies                  # all of them
 *     npm run deploy:strategies -- modal         # only these; writes no table
 *
 * Needs Podman, root for it, and the image python:3.13-slim; makes a Python environment with BentoML, LangGraph and Modal, once. Modal's
 * control plane is simulated (modal_stand_in.py); its client and its container are Modal's own.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { SharedBudgetView } from '../../src/panel/fleet-view.ts'
import { answer, FakeProvider } from '../../test/support/provider.ts'

const root = resolve(import.meta.dirname, '../..')
const PYTHON = join(root, '.venv-deploy/bin/python')
const BIN = join(root, 'bin/iron-cage.cjs')
const STRATEGIES = ['local', 'docker', 'bentoml', 'langgraph', 'modal']
const SECRET = 'a-password-of-the-crm-77310'
/** The cost of a call of the agent, and its limit. */
const CALL_USD = 0.000105
const LIMIT_USD = '0.0005'

/**
 * Uses the standard library only, so that each strategy can run it. Proves that it has the secret without printing it.
 */
const AGENT = `import hashlib, json, os, urllib.request

def predict(inputs):
    body = {"model": "gpt-4o-mini", "max_tokens": 50, "messages": [{"role": "user", "content": inputs["question"]}]}
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": "Bearer " + os.environ["OPENAI_API_KEY"]})
    with urllib.request.urlopen(request) as reply:
        return {"answer": json.load(reply)["choices"][0]["message"]["content"],
            "secret": hashlib.sha256(os.environ["CRM_PASSWORD"].encode()).hexdigest()}
`
const EXPECTED = {
  answer: 'Write to [EMAIL_REDACTED]',
  secret: createHash('sha256').update(SECRET).digest('hex'),
}

/** What Podman needs without a daemon of the system: see its containers.conf. */
const CONTAINERS_CONF = `[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
`

const asked = process.argv.slice(2)
const place = mkdtempSync(join(tmpdir(), 'iron-cage-strategies-'))
const started: ChildProcess[] = []
let allAnswers = 0
prepareEnvironment()
writeFileSync(join(place, 'containers.conf'), CONTAINERS_CONF)
await using provider = await FakeProvider.open()
provider.does(
  answer({ text: 'Write to ceo@acme.com', usage: { prompt_tokens: 500, completion_tokens: 50, total_tokens: 550 } }),
)
try {
  const panel = await startPanel()
  const modal = await startModal()
  const rows: string[] = []
  for (const strategy of STRATEGIES.filter((name) => asked.length === 0 || asked.includes(name)))
    rows.push(await tryStrategy(strategy, panel, modal))
  writeTable(rows)
} finally {
  for (const child of started) child.kill()
  rmSync(place, { recursive: true, force: true })
}

function prepareEnvironment(): void {
  if (!existsSync(PYTHON)) {
    execFileSync('python3', ['-m', 'venv', join(root, '.venv-deploy')])
    execFileSync(PYTHON, ['-m', 'pip', 'install', '--quiet', '-r', join(root, 'scripts/deploy/requirements.txt')], {
      stdio: 'inherit',
    })
  }
  if (!existsSync(join(root, 'dist/iron-cage')))
    execFileSync('npm', ['run', '--silent', 'build:binary'], { cwd: root, stdio: 'inherit' })
}

interface Panel {
  url: string
  /** Runs a command of its administrator. */
  admin: (...words: string[]) => Promise<string>
}

/** A Control Panel on SQLite, with $5 for everybody. */
async function startPanel(): Promise<Panel> {
  const folder = join(place, 'panel')
  mkdirSync(folder)
  const port = String(20_000 + (process.pid % 10_000))
  const token = await run(folder, {}, ['panel', 'token', '--role', 'admin'])
  await start(process.execPath, [BIN, 'panel', '--port', port], folder, {}, 'runtimes invite')
  const url = `http://localhost:${port}`
  const env = { IRON_CAGE_URL: url, IRON_CAGE_TOKEN: token }
  const admin = (...words: string[]) => run(folder, env, words)
  await admin('budget', 'set', '--org', '5')
  return { url, admin }
}

/** Modal's control plane, simulated. */
async function startModal(): Promise<{ url: string; log: Printed }> {
  const log = await start(PYTHON, [join(root, 'scripts/deploy/modal_stand_in.py')], place, {}, 'http://')
  return { url: /http:\S+/.exec(log.out)![0], log }
}

interface Printed {
  out: string
  ended: Promise<number | null>
}

/** Resolves when it has printed this text. */
async function start(
  program: string,
  words: readonly string[],
  cwd: string,
  env: Record<string, string>,
  awaited: string,
): Promise<Printed> {
  const child = spawn(program, words, { cwd, env: environment(env), stdio: ['pipe', 'pipe', 'pipe'] })
  started.push(child)
  const printed: Printed = { out: '', ended: once(child, 'close').then(([code]) => code as number | null) }
  await new Promise<void>((ready, fail) => {
    const read = (text: string) => {
      printed.out += text
      if (printed.out.includes(awaited)) ready()
    }
    child.stdout.setEncoding('utf8').on('data', read)
    child.stderr.setEncoding('utf8').on('data', read)
    void printed.ended.then(() => fail(new Error(printed.out)))
  })
  return printed
}

function environment(more: Record<string, string>): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, HOME: place, NO_COLOR: '1', ...more }
}

/** A command's output. */
async function run(cwd: string, env: Record<string, string>, words: readonly string[], stdin = ''): Promise<string> {
  const done = promisify(execFile)(process.execPath, [BIN, ...words], { cwd, env: environment(env) })
  done.child.stdin?.end(stdin)
  return (await done).stdout.trim()
}

/** Deploys, calls until the limit, and returns a row of the table. */
async function tryStrategy(strategy: string, panel: Panel, modal: Awaited<ReturnType<typeof startModal>>) {
  const folder = join(place, strategy)
  mkdirSync(folder)
  writeFileSync(join(folder, 'agent.py'), AGENT)
  const env = {
    ...{ OPENAI_BASE_URL: `${provider.url}/v1`, OPENAI_API_KEY: 'sk-test' },
    ...{ CONTAINERS_CONF: join(place, 'containers.conf'), IRON_CAGE_MASTER_KEY_FILE: join(place, `${strategy}.key`) },
    ...{ MODAL_SERVER_URL: modal.url, MODAL_TOKEN_ID: 'ak-test', MODAL_TOKEN_SECRET: 'as-test' },
  }
  await run(folder, {}, ['keygen', '--out', env.IRON_CAGE_MASTER_KEY_FILE])
  await run(folder, env, ['secrets', 'set', 'CRM_PASSWORD'], SECRET)
  const invitation = await panel.admin('runtimes', 'invite')
  await run(folder, env, ['join', panel.url, '--token', invitation, '--name', strategy])
  const words = ['deploy', 'up', 'agent.py', '--strategy', strategy, '--budget', LIMIT_USD]
  const startedAt = performance.now()
  const up = [BIN, ...words, '--port', '0', '--python', PYTHON]
  const deployed = await start(process.execPath, up, folder, env, 'agent can be called')
  const upMs = performance.now() - startedAt

  const { answers, firstMs } = await callUntilTheLimit(folder, env)
  const refusedAt = performance.now()
  const code = await deployed.ended
  const downMs = performance.now() - refusedAt
  if (code !== 3 || answers === 0) throw new Error(`${strategy} ended with ${code} after ${answers}\n${deployed.out}`)
  if (strategy === 'modal') await modalEnded(modal.log)
  requireNoSecret(strategy, folder, modal.log.out)
  await requireSpent(panel, answers)
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
  const name = strategy === 'modal' ? 'modal, simulated' : strategy
  return `| ${name} | ${seconds(upMs)} | ${firstMs.toFixed(0)} ms | ${answers} | ${seconds(downMs)} |`
}

async function callUntilTheLimit(folder: string, env: Record<string, string>) {
  let firstMs = 0
  for (let answers = 0; ; answers++) {
    const calledAt = performance.now()
    let printed: string
    try {
      printed = await run(folder, env, ['deploy', 'call', 'agent', '{"question": "Is it open?"}'])
    } catch (error) {
      if (answers === 0) throw error
      return { answers, firstMs }
    }
    if (printed !== JSON.stringify(EXPECTED, null, 2)) throw new Error(`unexpected reply: ${printed}`)
    if (answers === 0) firstMs = performance.now() - calledAt
  }
}

/** Its app, and with it the container, ends with the deployment. */
async function modalEnded(log: Printed): Promise<void> {
  for (let waited = 0; !log.out.includes('container ended'); waited++) {
    if (waited > 100) throw new Error(`the container at Modal has not ended\n${log.out}`)
    await new Promise((done) => setTimeout(done, 100))
  }
}

/** The secret is in no file of the deployment, in no layer and no setting of the image, and in nothing that was uploaded. */
function requireNoSecret(strategy: string, folder: string, modalLog: string): void {
  const files = readdirSync(join(folder, '.iron-cage'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
  const where = files.filter((file) => readFileSync(file).includes(SECRET))
  if (modalLog.includes(SECRET)) where.push('what Modal was told of the image')
  if (strategy === 'docker') {
    const image = join(place, 'image.tar')
    execFileSync('podman', ['save', '--format', 'docker-archive', '--output', image, 'iron-cage/agent'])
    if (readFileSync(image).includes(SECRET)) where.push('the image')
    rmSync(image)
  }
  if (where.length > 0) throw new Error(`${strategy}: the secret is in ${where.join(', ')}`)
}

/** The panel's books have what every agent spent until now, and nothing is lent any more. */
async function requireSpent(panel: Panel, answers: number): Promise<void> {
  const [budget] = JSON.parse(await panel.admin('budget', 'get', '--org', '--json')) as SharedBudgetView[]
  allAnswers += answers
  const settled = (allAnswers * CALL_USD).toFixed(6)
  if (Number(budget!.settled_usd) !== Number(settled) || budget!.lent_usd !== '0')
    throw new Error(`the panel has other books than $${settled} and nothing lent: ${JSON.stringify(budget)}`)
}

function writeTable(rows: readonly string[]): void {
  const head = [
    `| strategy | up | first call | answers before its limit of $${LIMIT_USD} | down |`,
    '|---|---|---|---|---|',
  ]
  const table = [...head, ...rows].join('\n')
  console.log(table)
  if (asked.length > 0) return
  const page = join(root, 'docs/deployment.md')
  const [before = '', after = ''] = readFileSync(page, 'utf8').split(
    /(?<=strategies:begin -->\n)[\s\S]*?(?=<!-- strategies:end)/,
  )
  writeFileSync(page, `${before}${table}\n${after}`)
}
