/** `run`: a command in the cage has the terminal, stdin and exit code that it would have without. */
import { describe, expect, test } from 'vitest'
import { openPlace, type Place } from './support.ts'

/** Level of the sandbox; without one another program opens the gate. */
const LEVELS = ['auto', 'off'] as const

const inCage = (place: Place, command: readonly string[], options: { stdin?: string; flags?: string[] } = {}) =>
  place.run(['run', '--port', '0', ...(options.flags ?? []), '--', ...command], options)

describe('run', () => {
  test.each(LEVELS)(
    'run gives a command its stdin, keeps its output apart and returns its code (%s)',
    async (level) => {
      const place = openPlace()
      const flags = ['--sandbox', level]
      const { code, out, err } = await inCage(place, ['sh', '-c', 'cat; echo careful >&2; exit 7'], {
        stdin: '{"a":1}\n',
        flags,
      })
      expect({ code, out }).toEqual({ code: 7, out: '{"a":1}\n' })
      expect(err).toMatch(/├─ Command +sh\n/)
      expect(err).toMatch(/^careful$/m)
      expect(err).toMatch(/has ended\n {2}├─ Why +exit code 7; restarts are off\n {2}├─ Cost +\$0\.00/)
    },
  )

  test('run passes the words after the command on, without a separator', async () => {
    const program = 'console.log(JSON.stringify(process.argv.slice(1)))'
    const { out } = await openPlace().run([
      'run',
      '--port',
      '0',
      process.execPath,
      '-e',
      program,
      'x',
      '-p',
      '--budget',
      '0',
    ])
    expect(JSON.parse(out)).toEqual(['x', '-p', '--budget', '0'])
  })

  test('run ends like a command that a signal ended, and does not restart it', async () => {
    const { code, out } = await inCage(openPlace(), ['sh', '-c', 'echo once; kill -s KILL $$'])
    expect({ code, out }).toEqual({ code: 137, out: 'once\n' })
  })

  test('run reports a missing program before it starts anything', async () => {
    const { code, out, err } = await inCage(openPlace(), ['no-such-program'])
    expect({ code, out }).toEqual({ code: 127, out: '' })
    expect(err).toBe(
      'iron-cage: no-such-program is not on PATH\n  hint: install it, or name its file with a slash: ./program\n',
    )
  })

  test('run stops a command whose budget is spent with code 3', async () => {
    const call = `curl -s -o /dev/null -w '%{http_code}' "$OPENAI_BASE_URL/chat/completions" -H 'authorization: Bearer sk-x' -d '{"model":"gpt-4o","max_tokens":9,"messages":[]}'`
    // It is stopped with its answer on the way, which it would be too late for.
    const answered = `trap '' INT TERM; ${call}`
    const { code, out, err } = await inCage(openPlace(), ['sh', '-c', answered], { flags: ['--budget', '0.000001'] })
    expect({ code, out }).toEqual({ code: 3, out: '402' })
    expect(err).toMatch(/Calls +0 completed, 0 failed/)
  })

  test('run stops on SIGTERM, and the command may end in its own way', async () => {
    const place = openPlace()
    const script = 'trap "echo tidy; exit 9" INT TERM; echo ready; while :; do sleep 0.1; done'
    const run = place.start(['run', '--port', '0', '--', 'sh', '-c', script])
    await run.shows('ready')
    run.child.kill('SIGTERM')
    expect(await run.ended).toMatchObject({ code: 9, out: 'ready\ntidy\n' })
  })

  test.each(LEVELS)(
    'run gives a command the terminal: the command reads typed input and handles Ctrl-C itself (%s)',
    async (level) => {
      const place = openPlace()
      place.write('dialog.py', DIALOG)
      const command = ['run', '--port', '0', '--sandbox', level, '--', 'python3', 'dialog.py']
      const { code, out } = await place.run(command, {
        env: { HOME: '/nonexistent' },
        typed: [
          ['name? ', 'Ada\n'],
          ['hello Ada', '\x03'],
        ],
      })
      expect(out).toContain('a terminal: [True, True, True]')
      expect(out).toContain('hello Ada')
      expect(out).toContain('interrupted')
      expect(out).toMatch(/has ended/)
      expect(code).toBe(5)
    },
  )

  test('runs in a server that is there, which records the output', async () => {
    const place = openPlace()
    const server = place.start(['serve', '--port', '0'])
    await server.shows('Dashboard')
    const { code, out } = await inCage(place, ['sh', '-c', 'echo write to ceo@acme.com; exit 4'])
    expect(code).toBe(4)
    expect(out).toMatch(/Command +sh\n/)
    expect(out).toContain('write to [EMAIL_REDACTED]')
  })
})

test('start -m runs a Python module of the working folder', async () => {
  const place = openPlace()
  place.write('my_agent.py', 'import sys\nprint("module", sys.argv[1:])\n')
  const env = { HOME: '/nonexistent' }
  const { code, out } = await place.run(['start', '--port', '0', '-m', 'my_agent', '--', '--fast'], { env })
  expect(code).toBe(0)
  expect(out).toMatch(/Module +my_agent\n.*Agent +ma-/s)
  expect(out).toContain("module ['--fast']")
  const refused = await place.run(['start', '--port', '0', '-m', 'my agent.py'], { env })
  expect([refused.code, refused.err]).toEqual([2, expect.stringContaining('is not the name of a Python module')])
})

const DIALOG = `import os, sys, time
print('a terminal:', [os.isatty(fd) for fd in range(3)], flush=True)
name = input('name? ')
try:
    print('hello', name, flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print('interrupted', flush=True)
    sys.exit(5)
`
