// How big the executable is, how soon it listens, and its use when idle. Prints, judges nothing.
//
//     node scripts/bench/start.mjs [program and its arguments]      (default: dist/iron-cage)
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

const STARTS = 10
/** Until the garbage of a start is collected, in ms. */
const IDLE_MS = 2_000

const [program = resolve(import.meta.dirname, '../../dist/iron-cage'), ...args] = process.argv.slice(2)
const home = mkdtempSync(join(tmpdir(), 'iron-cage-start-'))
try {
  await start() // lays out its files
  const starts = []
  for (let count = 0; count < STARTS; count++) starts.push(await start(count === STARTS - 1))
  const times = starts.map(({ ms }) => ms).sort((a, b) => a - b)
  console.log(`size       ${(statSync(program).size / 1e6).toFixed(1)} MB`)
  console.log(
    `listening  ${Math.round((times[4] + times[5]) / 2)} ms, median of ${STARTS} (${Math.round(times[0])} to ${Math.round(times.at(-1))})`,
  )
  console.log(`idle       ${(starts.at(-1).rssKb / 1000).toFixed(0)} MB resident`)
} finally {
  rmSync(home, { recursive: true, force: true })
}

/** From the start of the process until its port takes a connection. */
async function start(isLast = false) {
  const folder = mkdtempSync(join(home, 'run-'))
  const port = await freePort()
  const startedAt = performance.now()
  const child = spawn(program, [...args, 'serve', '--port', String(port)], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: home },
    stdio: 'ignore',
  })
  const ended = new Promise((done) => child.once('exit', done))
  while (!(await takesConnection(port))) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`)
    await wait(2)
  }
  const ms = performance.now() - startedAt
  let rssKb = 0
  if (isLast) {
    await wait(IDLE_MS)
    rssKb = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1])
  }
  child.kill('SIGTERM')
  await ended
  return { ms, rssKb }
}

function takesConnection(port) {
  return new Promise((answer) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      answer(true)
    }).on('error', () => answer(false))
  })
}

async function freePort() {
  const probe = createServer()
  await new Promise((listening) => probe.listen(0, '127.0.0.1', listening))
  const { port } = probe.address()
  await new Promise((closed) => probe.close(closed))
  return port
}
