/**
 * The images of a release, built from container/Dockerfile and tried with Podman as root. The registries of base images
 * are out of reach where this runs, so the base is made from Debian's packages, as `debian:12-slim` is.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { root } from './tools.ts'

// Without systemd, and where a process may not raise its limits.
const PODMAN = ['--cgroup-manager=cgroupfs', '--runtime=runc', '--log-level=error']
export const LIMITS = ['--ulimit=nofile=1024:1024', '--ulimit=nproc=1024:1024']
/** What compose.yaml and kubernetes.yaml ask for, too. */
export const LOCKED_DOWN = ['--read-only', '--tmpfs=/tmp', '--cap-drop=all', '--security-opt=no-new-privileges']
/** The image for servers and panels. */
export const SERVER = 'localhost/iron-cage'
const MAX_START_MS = 20_000

/** The image for agents; its container starts without a network. */
export const PYTHON_IMAGE = 'localhost/iron-cage:python'
export const runOnce = (image: string): string[] => [
  ...['podman', ...PODMAN, 'run', '--rm', '--init', '--network=none', '--no-healthcheck', ...LIMITS, ...LOCKED_DOWN],
  image,
]

export function podman(...words: string[]): string {
  return execFileSync('podman', [...PODMAN, ...words], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
}

export function buildImages(): void {
  for (const [image, packages] of [
    [SERVER, 'ca-certificates'],
    [PYTHON_IMAGE, 'ca-certificates,python3'],
  ] as const) {
    const base = baseImage(packages)
    const words = ['--format=docker', '--network=none', '--file', `${root}container/Dockerfile`, '--tag', image]
    podman('build', ...words, '--build-arg', `BASE=${base}`, root)
  }
}

/** Debian with these packages and without documentation; kept between runs. */
function baseImage(packages: string): string {
  const name = `localhost/debian-12-slim:${packages.replaceAll(',', '-')}`
  if (spawnSync('podman', [...PODMAN, 'image', 'exists', name]).status === 0) return name
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-base-'))
  const without = ['doc', 'man', 'locale'].map((part) => `--dpkgopt=path-exclude=/usr/share/${part}/*`)
  const archive = join(folder, 'base.tar')
  try {
    execFileSync('mmdebstrap', ['--variant=minbase', ...without, `--include=${packages}`, 'bookworm', archive], {
      stdio: 'ignore',
    })
    podman('import', archive, name)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return name
}

export const imageSizeMb = (image: string): number =>
  Number(podman('image', 'inspect', '--format', '{{.Size}}', image)) / 1e6

/**
 * Starts the server's image as the manifests do. Returns the observations, a sentence each; throws Error at the first
 * that fails.
 */
export async function tryServer(): Promise<string[]> {
  const volume = `iron-cage-try-${process.pid}`
  const options = [...LIMITS, ...LOCKED_DOWN, '--init', `--volume=${volume}:/data`]
  try {
    execFileSync(
      'podman',
      [...PODMAN, 'run', '--rm', '--interactive', ...options, '--network=none', SERVER, ...ADD_USER],
      {
        input: 'correct horse battery',
        stdio: ['pipe', 'ignore', 'pipe'],
      },
    )
    podman('run', '--detach', '--name', volume, '--publish=127.0.0.1::8080', ...options, SERVER)
    return await watch(volume, options)
  } finally {
    spawnSync('podman', [...PODMAN, 'rm', '--force', '--time=5', volume])
    spawnSync('podman', [...PODMAN, 'volume', 'rm', '--force', volume])
  }
}

const ADD_USER = ['users', 'add', 'ann', '--role', 'admin']

/** Returns after how many seconds the image's health check passes. Throws Error when it never does. */
export async function untilHealthy(container: string): Promise<string> {
  const startedAt = performance.now()
  while (spawnSync('podman', [...PODMAN, 'healthcheck', 'run', container]).status !== 0) {
    if (performance.now() - startedAt > MAX_START_MS) throw new Error(`never healthy:\n${podman('logs', container)}`)
    await wait(100)
  }
  return ((performance.now() - startedAt) / 1000).toFixed(1)
}

async function watch(container: string, options: readonly string[]): Promise<string[]> {
  const inside = (...words: string[]) =>
    spawnSync('podman', [...PODMAN, 'exec', container, ...words], { encoding: 'utf8' })
  const seen = [`its health check passes ${await untilHealthy(container)} s after the start`]
  const check = (sentence: string, isTrue: boolean, found: unknown) => {
    if (!isTrue) throw new Error(`not so: ${sentence}\n${String(found)}`)
    seen.push(sentence)
  }

  const status = await askHealth(podman('port', container, '8080'))
  check('a published port answers `/api/health` with 200', status === 200, status)
  const identity = inside('id', '-u').stdout.trim()
  check('it runs as user 10001', identity === '10001', identity)
  const capabilities = inside('sh', '-c', 'grep -h -E "^(CapEff|NoNewPrivs)" /proc/1/status').stdout.replaceAll(
    /\s+/g,
    ' ',
  )
  check(
    'it has no capability and can gain none',
    capabilities === 'CapEff: 0000000000000000 NoNewPrivs: 1 ',
    capabilities,
  )
  const write = inside('sh', '-c', 'echo x > /usr/local/bin/x')
  check('its root file system cannot be written', write.stderr.includes('Read-only file system'), write.stderr)
  const second = spawnSync('podman', [...PODMAN, 'run', '--rm', ...options, '--network=none', SERVER], {
    encoding: 'utf8',
    timeout: MAX_START_MS,
  })
  check('a second container on the same volume exits with 6', second.status === 6, second.stdout + second.stderr)

  const stoppedAt = performance.now()
  podman('stop', '--time=30', container)
  const stopped = ((performance.now() - stoppedAt) / 1000).toFixed(1)
  const [code, logs] = [podman('inspect', '--format', '{{.State.ExitCode}}', container), podman('logs', container)]
  check(
    `SIGTERM ends it in ${stopped} s with exit code 0`,
    code === '0' && logs.includes('Server stopped: SIGTERM'),
    logs,
  )
  return seen
}

/** By the name that the server listens as: a published port has another number. */
function askHealth(address: string): Promise<number | undefined> {
  const [host, port] = address.split(':')
  return new Promise((answered, failed) => {
    const asked = request({ host, port, path: '/api/health', headers: { host: 'localhost:8080' } }, (response) => {
      response.resume()
      answered(response.statusCode)
    })
    asked.on('error', failed).end()
  })
}
