import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { processStarted } from '../../src/core/process-table.ts'
import { openPlace } from './support.ts'

const SAVING_AGENT = `import os, time
open('pid', 'w').write(str(os.getpid()))
try:
    print('working', flush=True)
    time.sleep(600)
finally:
    open('saved.txt', 'w').write('all of it')
`

const contentOf = (folder: string, name: string): string => readFileSync(join(folder, name), 'utf8')

test.each(['off', 'standard'])(
  'Ctrl-C runs the finally blocks of a Python agent as it does without the cage (sandbox %s)',
  async (level) => {
    const place = openPlace()
    place.write(
      'agent.py',
      "import time\ntry:\n    print('working')\n    time.sleep(600)\nfinally:\n    print('saved')\n",
    )
    const run = place.start(['start', 'agent.py', '--port', '0', '--sandbox', level])
    await run.shows('working')
    run.child.kill('SIGINT')
    expect((await run.ended).out).toContain('INFO  saved')
  },
)

test('a terminal that is closed ends the agent like Ctrl-C', async () => {
  const place = openPlace()
  place.write('agent.py', SAVING_AGENT)
  const command = ['start', 'agent.py', '--port', '0', '--sandbox', 'off']
  expect(await place.run(command, { closesAt: 'working' })).toMatchObject({ code: 130 })
  expect(contentOf(place.folder, 'saved.txt')).toBe('all of it')
  expect(await processStarted(Number(contentOf(place.folder, 'pid')))).toBeUndefined()
})

test('an agent that asks for input is not restarted, and the output explains how to provide it', async () => {
  const place = openPlace()
  place.write('agent.py', "name = input('Your name: ')\n")
  const { code, out } = await place.run(['start', 'agent.py', '--port', '0', '--sandbox', 'off'])
  expect(code).toBe(1)
  expect(out).toMatch(
    /EOFError: EOF when reading a line; to type an answer, .*"iron-cage run -- python3? \S*agent\.py"/,
  )
  expect(out).not.toContain('restarted')
})
