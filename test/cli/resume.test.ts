/** `resume` lets an agent continue after any kind of end; `open` shows its remaining budget. */
import { expect, test } from 'vitest'
import { openPlace } from './support.ts'

const FOREVER = `setInterval(() => {}, 1000); console.log('working')`
const DONE = `console.log('done')`
/** Fails until it has been started four times. */
const CRASHES = `import { appendFileSync, readFileSync } from 'node:fs'
appendFileSync('starts', 'x')
if (readFileSync('starts', 'utf8').length < 4) throw new Error('not yet')
setInterval(() => {}, 1000)`

const idOf = (out: string): string => /Agent +(\S+)/.exec(out)![1]!

test('a paused, a stopped and a crashed agent continue by one command; one that is done does not', async () => {
  const place = openPlace()
  place.write('forever.mjs', FOREVER)
  place.write('done.mjs', DONE)
  place.write('crashes.mjs', CRASHES)
  place.write('iron-cage.yaml', 'agent: { restart: { max: 2, without_progress: 2 } }\n')
  const server = place.start(['serve', '--port', '0'])
  await server.shows('#code=')
  const forever = place.start(['start', 'forever.mjs'])
  await forever.shows('working')
  const id = idOf(forever.out)
  const resume = (...words: string[]) => place.type(['resume', ...words])
  const running = { code: 0, out: expect.stringMatching(/ {2}(running|starting)\n$/) }

  await place.type(['pause', id])
  expect(await resume(id)).toMatchObject(running)
  // One that runs goes on as it is.
  expect(await resume(id)).toMatchObject(running)
  await place.type(['stop', id])
  expect(await resume(id, '--add', '5')).toMatchObject(running)
  expect((await place.type(['budget', 'get', id])).out).toContain('$105.00')

  const crashes = place.start(['start', 'crashes.mjs'])
  await crashes.shows(/has ended\n/)
  expect(crashes.out).toContain(`Continue   iron-cage resume ${idOf(crashes.out)}\n`)
  expect(await resume(idOf(crashes.out))).toMatchObject(running)

  const done = place.start(['start', 'done.mjs'])
  await done.ended
  expect(await resume(idOf(done.out))).toMatchObject({
    code: 6,
    err: expect.stringMatching(/has completed its work\n.*\n {2}hint: run it again with "iron-cage restart d-/),
  })
  server.child.kill('SIGTERM')
  await server.ended
})

test('an agent of an earlier server is not raised by a resume that cannot start it', async () => {
  const place = openPlace()
  place.write('forever.mjs', FOREVER)
  const run = place.start(['start', 'forever.mjs', '--port', '0'])
  await run.shows('working')
  run.child.kill('SIGINT')
  await run.ended
  const id = idOf(run.out)
  const server = place.start(['open', '--port', '0'])
  await server.shows('#code=')
  expect(await place.type(['resume', id, '--add', '5'])).toMatchObject({
    code: 6,
    err: expect.stringContaining('iron-cage start'),
  })
  expect((await place.type(['budget', 'get', id])).out).toContain('$100.00')
  const again = await place.run(['open'])
  expect(again.code).toBe(0)
  expect(again.out).toMatch(/^http:\/\/localhost:\d+\/#code=\S+\n$/)
  server.child.kill('SIGTERM')
  expect((await server.ended).code).toBe(0)
})

test('the version is printed for -V as for --version', async () => {
  const place = openPlace()
  const [short, long] = [await place.run(['-V']), await place.run(['--version'])]
  expect(short).toEqual(long)
  expect(short.out).toMatch(/^\d+\.\d+\.\d+\n$/)
})
