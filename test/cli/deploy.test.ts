/** `deploy` and `strategies`: an agent that other programs call, in the cage. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { answer, FakeProvider } from '../support/provider.ts'
import { createPanelDatabase, openPlace, type Place, type Run } from './support.ts'

const PYTHON = resolve(import.meta.dirname, '../../.venv-test/bin/python')

/** Asks with the package of OpenAI; fails on request. */
const AGENT = `import openai

def predict(inputs):
    if inputs == 'fail':
        raise RuntimeError('no such lead')
    reply = openai.OpenAI().chat.completions.create(
        model='gpt-4o-mini', max_tokens=50, messages=[{'role': 'user', 'content': inputs['question']}])
    return {'answer': reply.choices[0].message.content}
`

const ENV = (provider: FakeProvider) => ({
  OPENAI_BASE_URL: `${provider.url}/v1`,
  OPENAI_API_KEY: 'sk-test',
  HOME: '/nonexistent',
})

function prepare(agent = AGENT): Place {
  const place = openPlace()
  place.write('agent.py', agent)
  return place
}

const up = (place: Place, provider: FakeProvider, ...flags: string[]): Run =>
  place.start(['deploy', 'up', 'agent.py', '--port', '0', '--python', PYTHON, ...flags], { env: ENV(provider) })

const json = async (place: Place, ...args: string[]) =>
  JSON.parse((await place.type([...args, '--json'])).out) as unknown

describe('deploy up', () => {
  test('deploy up serves the function of an agent, whose calls are priced and redacted, until deploy down', async () => {
    await using provider = await FakeProvider.open()
    provider.does(answer({ text: 'Write to ceo@acme.com' }))
    const place = prepare()
    const run = up(place, provider, '--budget', '5', '--strategy', 'local')
    await run.shows('agent can be called')

    const called = await place.type(['deploy', 'call', 'agent', '{"question": "Is it open?"}'])
    expect({ ...called, out: JSON.parse(called.out) as unknown }).toMatchObject({
      code: 0,
      out: { answer: 'Write to [EMAIL_REDACTED]' },
    })
    expect((await place.type(['deploy', 'call', 'agent'], { stdin: '{"question": "Again?"}' })).code).toBe(0)
    const failed = await place.type(['deploy', 'call', 'agent', '"fail"'])
    expect(failed).toMatchObject({ code: 9, err: expect.stringContaining('agent answered 500: no such lead') })
    expect((await place.type(['deploy', 'call', 'agent', '{oops'])).code).toBe(2)

    expect(await json(place, 'deploy', 'status')).toMatchObject({
      deployments: [{ name: 'agent', strategy: 'local', state: 'running', healthy: true, limit_usd: '5' }],
    })
    const [listed] = (await json(place, 'ps')) as [{ id: string; script: string; strategy: string }]
    expect(listed).toMatchObject({ state: 'running', strategy: 'local', script: join(place.folder, 'agent.py') })
    expect((await place.type(['status', listed.id])).out).toMatch(/deployed with +local/)
    const logged = async () => (await place.type(['deploy', 'logs', 'agent'])).out
    await expect.poll(logged).toContain('RuntimeError: no such lead')
    expect(await place.type(['deploy', 'down', 'agent'])).toMatchObject({ code: 0, out: 'agent  stopped\n' })
    await run.ended
    expect((await place.type(['deploy', 'call', 'agent', '{}'])).err).toContain('nothing is deployed as "agent"')
  })

  test('deploy up refuses the call of a page of another site', async () => {
    await using provider = await FakeProvider.open()
    const place = prepare()
    await up(place, provider).shows('agent can be called')
    const { deployments } = (await json(place, 'deploy', 'status')) as { deployments: [{ address: string }] }
    const post = (headers: Record<string, string>) =>
      fetch(`${deployments[0].address}/run`, { method: 'POST', headers, body: '{"inputs": {"question": "?"}}' })
    expect((await post({ 'content-type': 'text/plain' })).status).toBe(400)
    expect((await post({ 'content-type': 'application/json' })).status).toBe(200)
    expect(provider.requests).toHaveLength(1)
  })

  test('the agent spends the shared budget of a panel that its machine has joined', async () => {
    await using provider = await FakeProvider.open()
    provider.does(answer({ usage: { prompt_tokens: 500, completion_tokens: 50, total_tokens: 550 } }))
    const place = prepare()
    await createPanelDatabase(place)
    const token = (await place.type(['panel', 'token', '--role', 'admin'])).out.trim()
    const panel = place.start(['panel', '--port', '0'])
    await panel.shows('runtimes invite')
    const [url] = /http:\/\/[^\s/]+/.exec(panel.out)!
    const admin = async (...words: string[]) =>
      (await place.type(words, { env: { IRON_CAGE_URL: url, IRON_CAGE_TOKEN: token } })).out.trim()
    await admin('budget', 'set', '--org', '5')
    const invitation = await admin('runtimes', 'invite')
    expect((await place.type(['join', url, '--token', invitation])).code).toBe(0)
    const run = up(place, provider, '--strategy', 'local')
    await run.shows('agent can be called')
    expect((await place.type(['deploy', 'call', 'agent', '{"question": "?"}'])).code).toBe(0)
    await place.type(['deploy', 'down', 'agent'])
    await run.ended
    expect(JSON.parse(await admin('budget', 'get', '--org', '--json'))).toMatchObject([
      { settled_usd: '0.000105', lent_usd: '0' },
    ])
  })

  test('an agent is stopped at its limit, and its callers are answered so', async () => {
    await using provider = await FakeProvider.open()
    provider.does(answer({ usage: { prompt_tokens: 100, completion_tokens: 50, total_tokens: 150 } }))
    const place = prepare()
    const run = up(place, provider, '--budget', '0.0001')
    await run.shows('agent can be called')
    const codes: (number | null)[] = []
    while (codes.at(-1) !== 9 && codes.at(-1) !== 7 && codes.length < 10) {
      codes.push((await place.type(['deploy', 'call', 'agent', '{"question": "?"}'])).code)
    }
    expect(codes[0]).toBe(0)
    expect((await run.ended).code).toBe(3)
    expect(provider.requests).toHaveLength(codes.filter((code) => code === 0).length)
  })

  test('deploy up in the running server returns when the agent can be called, and so does start --strategy', async () => {
    await using provider = await FakeProvider.open()
    const place = prepare('import json, sys\nprint(json.dumps({"twice": 2 * json.load(sys.stdin)}))\n')
    const server = place.start(['serve', '--port', '0'])
    await server.shows('Dashboard')
    const flags = ['--strategy', 'local', '--python', PYTHON]
    const env = ENV(provider)
    const { code, out } = await place.run(['start', 'agent.py', ...flags, '--name', 'Twice as much'], { env })
    expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining('twice-as-much can be called') })
    expect(JSON.parse((await place.type(['deploy', 'call', 'twice-as-much', '21'])).out)).toEqual({ twice: 42 })
    place.write('broken.py', 'import nothing_of_this_name\ndef predict(inputs): ...\n')
    const broken = await place.run(['deploy', 'up', 'broken.py', ...flags], { env })
    expect(broken.code).toBe(0)
    const failed = await place.type(['deploy', 'call', 'broken', '1'])
    expect(failed.err).toContain("No module named 'nothing_of_this_name'")
  })
})

const SELECTOR = `# My cloud
## Summary
A program of our own.
## Best For
- \`file: mycloud.toml\` agents that are made for it
## Not For
- Anything else
## Resources
- \`program: python3\`
## Interface
HTTP
## Provider
Us
`
const ADAPTER = `# My cloud
## Deploy command
\`\`\`sh
cp {folder}/hello.txt {folder}/copied.txt
{python} {folder}/cloud.py {port}
\`\`\`
## Run interface
\`\`\`json
{ "type": "http", "health": "/up", "call": "/ask", "body": ["{inputs}"], "output": "said.0" }
\`\`\`
## Required structure
- \`cloud.py\`: the server
- \`mycloud.toml\`: of the agent
## Examples
None
`
/** Echoes its input. */
const CLOUD = `import http.server, json, sys

class Cloud(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == '/up' else 404)
        self.end_headers()
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers['content-length'])))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({'said': ['{name}: ' + asked[0]]}).encode())

http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Cloud).serve_forever()
`

function prepareCloud(): Place {
  const place = prepare()
  mkdirSync(join(place.folder, 'strategies/mycloud/templates'), { recursive: true })
  place.write('strategies/mycloud/selector_instruction.md', SELECTOR)
  place.write('strategies/mycloud/adapter_instruction.md', ADAPTER)
  place.write('strategies/mycloud/templates/cloud.py', CLOUD)
  place.write('strategies/mycloud/templates/hello.txt', 'hello')
  place.write('mycloud.toml', '')
  return place
}

/** The provider's successive answers to a model that chooses and adapts. */
function suggests(provider: FakeProvider, ...replies: readonly object[]): void {
  for (const reply of replies) provider.doesOnce(answer({ text: JSON.stringify(reply) }))
}

const CHOICE = { strategy: 'mycloud', reason: 'It has a file of its own for it.' }
const CHANGE = { files: { 'hello.txt': 'hello, adapted' } }

describe('deploy --selector agent', () => {
  test('a model reads the instructions, and its choice and its changes are shown, counted and not written by plan', async () => {
    await using provider = await FakeProvider.open()
    suggests(provider, CHOICE, CHANGE)
    const place = prepareCloud()
    const planned = await place.run(['deploy', 'plan', 'agent.py', '--selector', 'agent'], { env: ENV(provider) })
    expect(planned).toMatchObject({
      code: 0,
      out: expect.stringMatching(
        /Because +It has a file of its own[\s\S]*changed hello\.txt\n-hello\n\+hello, adapted\n/,
      ),
      err: expect.stringMatching(/openai\/gpt-4o-mini was asked for \$0\.00\S* of \$0\.10, as /),
    })
    const [choosing, adapting] = provider.requests.map(({ body }) => body)
    expect(choosing).toContain('agents that are made for it')
    expect(choosing).toContain('A process on this machine, supervised by Iron Cage')
    expect(adapting).toContain('hello.txt')
    expect(adapting).toContain('def predict(inputs)')
    expect(readdirSync(place.folder)).not.toContain('.iron-cage')
    expect((await place.type(['ps', '--all'])).out).toContain('strategy-selector')
  })

  test('deploy up writes changes only after consent, and only below its own folder', async () => {
    await using provider = await FakeProvider.open()
    const place = prepareCloud()
    const flags = ['--selector', 'agent', '--python', PYTHON]
    suggests(provider, CHOICE, CHANGE)
    const refused = await place.run(['deploy', 'up', 'agent.py', ...flags], { env: ENV(provider) })
    expect(refused).toMatchObject({ code: 2, err: expect.stringContaining('nothing was written and nothing deployed') })
    suggests(provider, CHOICE, { files: { '../agent.py': '' } })
    const outside = await place.run(['deploy', 'up', 'agent.py', ...flags, '--yes'], { env: ENV(provider) })
    expect(outside).toMatchObject({ code: 9, err: expect.stringContaining('"../agent.py" is no file') })
    suggests(provider, CHOICE, CHANGE)
    const typed = [['(y/N)', 'n\n']] as const
    expect((await place.run(['deploy', 'up', 'agent.py', ...flags], { env: ENV(provider), typed })).code).toBe(2)
    expect(readdirSync(place.folder)).not.toContain('.iron-cage')

    suggests(provider, CHOICE, CHANGE)
    await up(place, provider, '--selector', 'agent', '--yes').shows('agent can be called')
    const written = join(place.folder, '.iron-cage/deploy/agent')
    expect(readFileSync(join(written, 'copied.txt'), 'utf8')).toBe('hello, adapted')
    expect(readFileSync(join(place.folder, 'strategies/mycloud/templates/hello.txt'), 'utf8')).toBe('hello')
    expect((await place.type(['deploy', 'call', 'agent', '"hi"'])).out).toBe('agent: hi\n')
  })

  test('the selector agent stops at its limit, and never sends a source with a secret', async () => {
    await using provider = await FakeProvider.open()
    const place = prepareCloud()
    const words = ['deploy', 'plan', 'agent.py', '--selector', 'agent', '--selector-budget', '0.0001']
    const poor = await place.run(words, { env: ENV(provider) })
    expect(poor).toMatchObject({
      code: 9,
      err: expect.stringMatching(/\$0\.00 of \$0\.0001, as [\s\S]*could not be asked: .* needs up to \$0\.00/),
    })
    place.write('agent.py', `key = "sk-proj-${'a1B2'.repeat(12)}"\n`)
    const told = await place.run(words, { env: ENV(provider) })
    expect(told).toMatchObject({ code: 2, err: expect.stringContaining('a secret in the file would be sent') })
    expect(provider.requests).toHaveLength(0)
  })
})

describe('a strategy of the user', () => {
  test('a strategy of the user is the example of docs/deployment.md, as it stands there', async () => {
    await using provider = await FakeProvider.open()
    const place = prepare()
    const page = readFileSync(resolve(import.meta.dirname, '../../docs/deployment.md'), 'utf8')
    const files = [...page.matchAll(/^~~~\w+ title="([^"]+)"\n([\s\S]*?)^~~~$/gm)]
    expect(files).toHaveLength(3)
    mkdirSync(join(place.folder, 'strategies/mycloud/templates'), { recursive: true })
    for (const [, path, content] of files) place.write(path!, content!)
    place.write('mycloud.toml', '')
    expect(await place.type(['strategies', 'check'])).toMatchObject({ code: 0 })
    // Beside the configuration, wherever a command is typed.
    place.write('iron-cage.yaml', '{}')
    const elsewhere = await place.run(['strategies', 'list', '--config', '../iron-cage.yaml'], { folder: 'strategies' })
    expect(elsewhere.out).toMatch(/mycloud +A program of our own\./)
    await up(place, provider).shows('agent can be called')
    expect(await json(place, 'deploy', 'status')).toMatchObject({
      deployments: [{ strategy: 'mycloud', healthy: true }],
    })
    const called = await place.type(['deploy', 'call', 'agent', '{"question": "?"}'])
    expect(JSON.parse(called.out)).toEqual({ answer: 'Hello.' })
  })

  test('a strategy of the user is added by files alone, chosen by its facts, and used like ours', async () => {
    await using provider = await FakeProvider.open()
    const place = prepare()
    for (const path of ['strategies', 'strategies/mycloud', 'strategies/mycloud/templates', 'strategies/half']) {
      mkdirSync(join(place.folder, path))
    }
    place.write('strategies/mycloud/selector_instruction.md', SELECTOR)
    place.write('strategies/mycloud/adapter_instruction.md', ADAPTER)
    place.write('strategies/mycloud/templates/cloud.py', CLOUD)
    place.write('strategies/mycloud/templates/hello.txt', 'hello')
    place.write('mycloud.toml', '')

    const listed = await place.type(['strategies', 'list'])
    expect(listed.out).toMatch(/mycloud +A program of our own\./)
    expect(listed.err).toContain('the strategy half is broken')
    expect((await place.type(['strategies', 'check'])).code).toBe(1)
    expect((await place.type(['strategies', 'show', 'mycloud'])).out).toContain('## Run interface')

    const plan = (await json(place, 'deploy', 'plan', 'agent.py')) as {
      strategy: string
      strategies: { name: string; reasons: string[] }[]
    }
    expect(plan.strategy).toBe('mycloud')
    expect(plan.strategies[0]).toMatchObject({ reasons: ['file: mycloud.toml (agents that are made for it)'] })
    expect(readdirSync(place.folder)).not.toContain('.iron-cage')

    const run = up(place, provider)
    await run.shows('agent can be called')
    expect((await place.type(['deploy', 'call', 'agent', '"hi"'])).out).toBe('agent: hi\n')
    expect(readFileSync(join(place.folder, '.iron-cage/deploy/agent/copied.txt'), 'utf8')).toBe('hello')
    await place.type(['deploy', 'down', 'agent'])
  })

  test('a strategy of the user that cannot run here or fails in preparation is reported with the reason', async () => {
    await using provider = await FakeProvider.open()
    const place = prepare()
    mkdirSync(join(place.folder, 'strategies/mycloud'), { recursive: true })
    place.write('strategies/mycloud/selector_instruction.md', SELECTOR)
    place.write('strategies/mycloud/adapter_instruction.md', ADAPTER.replace(/- `cloud.py`.*\n- `my.*/, 'Nothing'))
    const failed = await up(place, provider, '--strategy', 'mycloud').ended
    expect(failed).toMatchObject({ code: 9, err: expect.stringMatching(/"cp \S+hello.txt \S+" ended with 1/) })
    place.write('strategies/mycloud/selector_instruction.md', SELECTOR.replace('python3', 'no-such-program'))
    const impossible = await place.run(['deploy', 'plan', 'agent.py', '--strategy', 'mycloud'])
    expect(impossible).toMatchObject({
      code: 2,
      err: expect.stringContaining('mycloud: needs program: no-such-program'),
    })
  })
})
