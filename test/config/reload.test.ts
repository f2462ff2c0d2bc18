import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openPlace, type Place, type Run } from '../cli/support.ts'

/** Where none belongs. */
const KEY = 'ghp_16C7e42F292c6912E7710c838347Ae178B4a'
const EMAIL = 'jane.canary@northwind-traders.com'

/** A server with a file, and a way to ask for its findings in a text that an agent reports. */
async function serve(config: string): Promise<{ place: Place; server: Run }> {
  const place = openPlace()
  place.write('iron-cage.yaml', config)
  const server = place.start(['serve', '--port', '0', '--log-format', 'json'])
  await server.shows('Dashboard', 'err')
  return { place, server }
}

/** The settings in force, by key, as the server lists them for an admin. */
async function inForce(place: Place): Promise<Record<string, object>> {
  const { url, token } = JSON.parse(readFileSync(join(place.folder, 'iron_state.db.server'), 'utf8'))
  const reply = await fetch(`${url}/api/config`, { headers: { authorization: `Bearer ${token}` } })
  const { settings } = (await reply.json()) as { settings: { key: string }[] }
  return Object.fromEntries(settings.map(({ key, ...setting }) => [key, setting]))
}

/** The server's findings in the address, asked for by a client. */
async function scanned(place: Place): Promise<string> {
  const { url, token } = JSON.parse(readFileSync(join(place.folder, 'iron_state.db.server'), 'utf8'))
  const ask = async (path: string, bearer: string, body: object) => {
    const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' }
    return (await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) })).json()
  }
  const client = await ask('/api/tokens', token, { name: 'client' })
  return (await ask('/api/run/scan', client.token, { text: `Ask ${EMAIL}.` })).redacted
}

describe('a configuration that changes while the server runs', () => {
  test('a reload applies safety settings at once, and lists the settings that need a restart', async () => {
    const { place, server } = await serve(`providers: { groq: { base_url: "https://groq.example/${KEY}" } }\n`)
    expect(await scanned(place)).toBe('Ask [EMAIL_REDACTED].')
    place.write(
      'iron-cage.yaml',
      `safety: { allow_values: ["${EMAIL.toUpperCase()}"] }\nbudget: { limit_usd: 7 }\nproviders: { groq: { base_url: "https://groq.example/${KEY}" } }\n`,
    )
    await server.shows(
      'Configuration reloaded: budget.limit_usd, safety.allow_values changed; needs a restart: budget.limit_usd',
    )
    expect(await scanned(place)).toBe(`Ask ${EMAIL}.`)
    // The server lists the settings in force: the new values of safety, and the others of its start.
    const [listed, file] = [await inForce(place), 'iron-cage.yaml']
    expect(listed).toMatchObject({
      'safety.mode': { value: 'redact', origin: 'default', next: null },
      'safety.allow_values': { value: [EMAIL.toUpperCase()], origin: `${file}:1`, next: null },
      'budget.limit_usd': { value: '100', origin: 'default', next: { value: '7', origin: `${file}:2` } },
      'server.port': { value: 0, origin: '--port', next: null },
      'providers.groq.base_url': { origin: `${file}:3` },
    })
    expect(JSON.stringify(listed)).not.toContain(KEY)
  })

  test('a configuration that is broken or missing changes nothing and is reported', async () => {
    const { place, server } = await serve('safety: { mode: redact }\n')
    place.write('iron-cage.yaml', 'safety: { mode: wran }\n')
    await server.shows('did you mean warn')
    expect(await scanned(place)).toBe('Ask [EMAIL_REDACTED].')
    rmSync(join(place.folder, 'iron-cage.yaml'))
    await server.shows('no longer exists')
    expect(await scanned(place)).toBe('Ask [EMAIL_REDACTED].')
    writeFileSync(join(place.folder, 'iron-cage.yaml'), 'safety: { mode: warn }\n')
    await server.shows('Configuration reloaded: safety.mode changed')
    expect(await scanned(place)).toBe(`Ask ${EMAIL}.`)
  })

  test('a configuration is read again on SIGHUP by a server without a terminal, which goes on', async () => {
    const { place, server } = await serve('safety: { mode: redact }\n')
    server.child.kill('SIGHUP')
    await server.shows('Configuration reloaded: nothing changed')
    expect(await scanned(place)).toBe('Ask [EMAIL_REDACTED].')
    server.child.kill('SIGTERM')
    expect((await server.ended).signal).toBeNull()
  })
})
