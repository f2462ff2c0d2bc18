/**
 * Deploys one agent with every strategy that can run here, as a user would: the same reply, priced and redacted, and stopped at its limit.
 * Writes the table of docs/deployment.md.
 *
 *     npm run deploy:strategies
 *
 * Needs Podman, root for it, and the image python:3.13-slim; makes a Python environment with BentoML and LangGraph, once.
 */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { answer, FakeProvider } from '../../test/support/provider.ts'

const root = resolve(import.meta.dirname, '../..')
const PYTHON = join(root, '.venv-deploy/bin/python')

/** Uses the standard library only, so that each strategy can run it. */
const AGENT = `import json, os, urllib.request

def predict(inputs):
    body = {"model": "gpt-4o-mini", "max_tokens": 50, "messages": [{"role": "user", "content": inputs["question"]}]}
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": "Bearer " + os.environ["OPENAI_API_KEY"]})
    with urllib.request.urlopen(request) as reply:
        return {"answer": json.load(reply)["choices"][0]["message"]["content"]}
`

/** What Podman needs without a daemon of the system: see its containers.conf. */
const CONTAINERS_CONF = `[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
`

prepareEnvironment()
await using provider = await FakeProvider.open()
// A call costs $0.000105, and at most $0.00003 more than that is held for it.
provider.does(
  answer({ text: 'Write to ceo@acme.com', usage: { prompt_tokens: 500, completion_tokens: 50, total_tokens: 550 } }),
)
const rows: string[] = []
for (const strategy of ['local', 'docker', 'bentoml', 'langgraph']) rows.push(await tryStrategy(strategy))
const head = ['| strategy | up | first call | answers before its limit of $0.0005 | down |', '|---|---|---|---|---|']
const page = join(root, 'docs/deployment.md')
const [before = '', after = ''] = readFileSync(page, 'utf8').split(
  /(?<=strategies:begin -->\n)[\s\S]*?(?=<!-- strategies:end)/,
)
writeFileSync(page, `${before}${[...head, ...rows].join('\n')}\n${after}`)
console.log([...head, ...rows].join('\n'))

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

/** Deploys, calls until the limit, and returns a row of the table. */
async function tryStrategy(strategy: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), `iron-cage-${strategy}-`))
  writeFileSync(join(folder, 'agent.py'), AGENT)
  writeFileSync(join(folder, 'containers.conf'), CONTAINERS_CONF)
  const env = {
    ...{ PATH: process.env.PATH, HOME: '/root', OPENAI_BASE_URL: `${provider.url}/v1`, OPENAI_API_KEY: 'sk-test' },
    ...{ CONTAINERS_CONF: join(folder, 'containers.conf') },
  }
  const bin = join(root, 'bin/iron-cage.cjs')
  const words = [
    'deploy',
    'up',
    'agent.py',
    '--strategy',
    strategy,
    '--budget',
    '0.0005',
    '--port',
    '0',
    '--python',
    PYTHON,
  ]
  const startedAt = performance.now()
  const child = spawn(process.execPath, [bin, ...words], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  const ended = new Promise<number | null>((done) => child.once('close', done))
  await new Promise<void>((ready, fail) => {
    const read = (text: string) => {
      out += text
      if (out.includes('agent can be called')) ready()
    }
    child.stdout.setEncoding('utf8').on('data', read)
    child.stderr.setEncoding('utf8').on('data', read)
    void ended.then(() => fail(new Error(out)))
  })
  const upMs = performance.now() - startedAt
  let answers = 0
  let firstMs = 0
  for (; ; answers++) {
    const calledAt = performance.now()
    try {
      const call = ['deploy', 'call', 'agent', '{"question": "Is it open?"}']
      const { stdout } = await promisify(execFile)(process.execPath, [bin, ...call], { cwd: folder, env })
      const reply = JSON.parse(stdout) as { answer: string }
      if (reply.answer !== 'Write to [EMAIL_REDACTED]') throw new Error(`unexpected reply: ${stdout}`)
    } catch (error) {
      if (answers === 0) throw new Error(`${strategy}: ${(error as Error).message}\n${out}`)
      break
    }
    if (answers === 0) firstMs = performance.now() - calledAt
  }
  const refusedAt = performance.now()
  const code = await ended
  if (code !== 3) throw new Error(`${strategy} ended with ${code}\n${out}`)
  rmSync(folder, { recursive: true, force: true })
  return `| ${strategy} | ${(upMs / 1000).toFixed(1)} s | ${firstMs.toFixed(0)} ms | ${answers} | ${((performance.now() - refusedAt) / 1000).toFixed(1)} s |`
}
