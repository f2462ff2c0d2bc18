/** Who answers at an address that another program has taken. */
import * as z from 'zod'
import type { Clock } from '../core/clock.ts'

/** How long it may take to answer, in ms. */
const TIMEOUT_MS = 1_000

const health = z.object({ status: z.string(), version: z.string() })
const version = z.strictObject({ version: z.string(), panel: z.literal(true).optional() })

/** Another server of this program, in words; undefined for any other program. */
export async function ownerOfPort(url: string, clock: Clock): Promise<string | undefined> {
  const timeout = new AbortController()
  const timer = clock.after(TIMEOUT_MS, () => timeout.abort())
  const ask = async (path: string) => (await fetch(url + path, { redirect: 'error', signal: timeout.signal })).json()
  try {
    const [said, ours] = [version.parse(await ask('/api/version')), health.parse(await ask('/api/health'))]
    if (ours.version !== said.version) return undefined
    return `${said.panel ? 'a Control Panel' : 'another server'} of Iron Cage ${said.version} (${url})`
  } catch {
    return undefined
  } finally {
    timer.cancel()
  }
}
