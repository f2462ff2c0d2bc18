/** Two Control Panels in containers on one PostgreSQL, which is Debian's: the registries of images are out of reach. */
import { spawnSync } from 'node:child_process'
import { startCluster } from '../../test/panel/postgres.ts'
import { freePort } from '../../test/support/free-port.ts'
import { LIMITS, LOCKED_DOWN, podman, SERVER, untilHealthy } from './image.ts'

/** Returns the observations, a sentence each; throws Error at the first that fails. */
export async function tryPanels(): Promise<string[]> {
  const cluster = await startCluster()
  const names = [1, 2].map((number) => `iron-cage-panel-${process.pid}-${number}`)
  const seen: string[] = []
  const check = (sentence: string, isTrue: boolean, found: unknown) => {
    if (!isTrue) throw new Error(`not so: ${sentence}\n${String(found)}`)
    seen.push(sentence)
  }
  try {
    const database = await cluster.newDatabase()
    const urls: string[] = []
    const starts: string[] = []
    for (const name of names) {
      const port = String(await freePort())
      const url = `http://localhost:${port}`
      urls.push(url)
      const options = ['--detach', '--name', name, '--init', '--network=host', `--env=IRON_CAGE_URL=${url}`]
      podman('run', ...options, ...LIMITS, ...LOCKED_DOWN, SERVER, 'panel', '--database', database, '--port', port)
      starts.push(await untilHealthy(name))
    }
    check(`both are healthy, ${starts.join(' s and ')} s after their starts`, true, '')
    const words = ['panel', 'token', '--role', 'admin', '--database', database]
    const token = podman('exec', names[0]!, 'iron-cage', ...words)
    const ask = async (url: string, path: string, method = 'GET', body?: unknown) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const answer = await fetch(url + path, {
        method,
        headers,
        ...(body !== undefined && { body: JSON.stringify(body) }),
      })
      return `${answer.status} ${await answer.text()}`
    }
    const own = (container: string, ...words: string[]) =>
      podman('exec', `--env=IRON_CAGE_TOKEN=${token}`, container, 'iron-cage', ...words)
    own(names[0]!, 'budget', 'set', '--org', '5')
    const budget = own(names[1]!, 'budget', 'get', '--org')
    check('a value set at one is read at the other', budget.includes('$5.00'), budget)
    const page = await fetch(`${urls[1]}/`)
    check(
      'each serves the page of the fleet',
      page.status === 200 && (await page.text()).includes('<html'),
      page.status,
    )

    await cluster.crash()
    const unready = await ask(urls[0]!, '/health/ready')
    const alive = await ask(urls[0]!, '/health/live')
    check(
      'while PostgreSQL is away they are alive and not ready',
      unready.startsWith('503') && alive.startsWith('200'),
      unready + alive,
    )
    await cluster.start()
    check(`when it is back they are ready again, after ${await untilHealthy(names[0]!)} s`, true, '')

    const stoppedAt = performance.now()
    podman('stop', '--time=30', names[0]!)
    const seconds = ((performance.now() - stoppedAt) / 1000).toFixed(1)
    const code = podman('inspect', '--format', '{{.State.ExitCode}}', names[0]!)
    check(`SIGTERM ends one in ${seconds} s with exit code 0`, code === '0', podman('logs', names[0]!))
    const other = await ask(urls[1]!, '/health/ready')
    check('the other goes on', other.startsWith('200'), other)
    return seen
  } finally {
    for (const name of names) spawnSync('podman', ['rm', '--force', '--time=5', name])
    await cluster.remove()
  }
}
