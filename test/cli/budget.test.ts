/** The limits beside the agents' own from the command line: on the file alone, and through the server that has it. */
import { expect, test } from 'vitest'
import { openPlace, type Place } from './support.ts'

const CONFIG = 'budget: { server_usd: 50, per_run_usd: 20 }\n'

function prepare(config = CONFIG): Place {
  const place = openPlace()
  place.write('iron-cage.yaml', config)
  return place
}

async function serve(place: Place) {
  const server = place.start(['serve', '--port', '0'])
  await server.shows('http://localhost')
  return {
    server,
    end: async () => {
      server.child.kill('SIGTERM')
      await server.ended
    },
  }
}

/** The output, or the exit code and error. */
const budgetOf =
  (place: Place) =>
  async (...words: string[]) => {
    const { code, out, err } = await place.type(['budget', ...words])
    return code === 0 ? out : `exit ${code}: ${err}`
  }

test('they are changed through a server and without one, and hold after a restart', async () => {
  const place = prepare()
  const budget = budgetOf(place)
  const first = await serve(place)
  expect(await budget('get')).toBe('server  $0.00 / $50.00, $50.00 left\neach run  $20.00\n')
  expect(await budget('add', '--server', '25')).toBe('server  $0.00 / $75.00, $75.00 left\neach run  $20.00\n')
  await first.server.shows("The server's budget raised from $50.00 to $75.00 by operator")
  await first.end()

  expect(await budget('set', '--run', '5')).toBe('server  $0.00 / $75.00, $75.00 left\neach run  $5.00\n')
  expect(await budget('add', '--server', '5')).toBe('server  $0.00 / $80.00, $80.00 left\neach run  $5.00\n')

  const { server } = await serve(place)
  await server.shows('all agents together $80.00 (changed; the configuration says $50.00)')
  await server.shows('each run $5.00 (changed; the configuration says $20.00)')
  expect(JSON.parse(await budget('get', '--json'))).toEqual({
    server: { limit_usd: '80', spent_usd: '0', held_usd: '0', remaining_usd: '80' },
    run: { limit_usd: '5' },
    period: null,
    shared: null,
  })
  await place.type(['tokens', 'create', '--name', 'notebook', '--budget', '20'])
  expect(await budget('get', 'notebook')).toMatch(
    /^\S+ {2}\$0\.00 \/ \$20\.00, \$20\.00 left\nserver {2}\$0\.00 \/ \$80\.00, \$80\.00 left\n$/,
  )
  expect((await place.type(['status', 'notebook'])).out).toContain(
    "server $0.00 of $80.00 · the agent's limit is reached first",
  )
  const { out } = await place.type(['status', '--json'])
  expect(JSON.parse(out).agents[0].budgets).toEqual([
    { scope: 'agent', limit_usd: '20', spent_usd: '0' },
    { scope: 'server', limit_usd: '80', spent_usd: '0' },
  ])
}, 300_000)

test('exactly one budget is changed at a time, by an amount', async () => {
  const place = prepare()
  const budget = budgetOf(place)
  const { end } = await serve(place)
  await end()
  const words = [
    [],
    ['worker'],
    ['worker', '5', '--server', '5'],
    ['--server', '5', '--run', '5'],
    ['5', '--server', '5'],
  ]
  for (const wrong of words)
    expect(await budget('add', ...wrong), wrong.join(' ')).toMatch(/^exit 2: .*exactly one budget/)
  expect(await budget('set', '--server', '0')).toMatch(/^exit 2: .* arrived as "0"/)
  expect(await budget('set', '--run', '5e1')).toMatch(/^exit 2: .*"5e1" is not an amount/)
  expect(await budget('get')).toBe('server  $0.00 / $50.00, $50.00 left\neach run  $20.00\n')
}, 300_000)

test('a limit without a configured value cannot be changed, and the hint names its setting', async () => {
  const place = prepare('{}\n')
  const budget = budgetOf(place)
  const { end } = await serve(place)
  expect(await budget('add', '--server', '5')).toMatch(/^exit 6: .*no limit to change\n.*budget\.server_usd/s)
  await end()
  expect(await budget('add', '--run', '5')).toMatch(/^exit 6: .*no limit to change\n.*budget\.per_run_usd/s)
  const { code, out, err } = await place.type(['budget', 'get'])
  expect([code, out, err]).toEqual([0, '', "there are no budgets besides the agents' own\n"])
}, 300_000)

const SPEND = `import json, os, time, urllib.request
charge = urllib.request.Request(os.environ['IRON_CAGE_URL'] + '/api/run/charges', json.dumps({'service': 's', 'cost_usd': '0.6'}).encode(),
    {'authorization': 'Bearer ' + os.environ['IRON_CAGE_TOKEN'], 'content-type': 'application/json'})
try:
    while True: urllib.request.urlopen(charge)
except urllib.error.HTTPError as error:
    print(error.code, json.load(error)['error']['hint'], flush=True)
    time.sleep(600)
`

test('an agent that a budget stops is reported with the command that raises that very budget', async () => {
  const place = prepare('budget: { server_usd: 1 }\nagent: { stop_grace_s: 1 }\n')
  place.write('spend.py', SPEND)
  const { code, out } = await place.start(['start', 'spend.py', '--port', '0', '--budget', '5']).ended
  expect(code).toBe(3)
  expect(out).toContain("The server's budget cannot pay a call of up to $0.60: $0.60 / $1.00")
  expect(out).toMatch(/Raise +iron-cage budget add --server 0\.5\n/)
  expect(out).toMatch(/Continue +iron-cage start spend.py .+ \(a new budget, from its last checkpoint/)
  expect(await budgetOf(place)('add', '--server', '0.5')).toBe('server  $0.60 / $1.50, $0.90 left\n')
}, 300_000)
