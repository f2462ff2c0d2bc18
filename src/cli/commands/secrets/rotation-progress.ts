/** Rotates a secret and reports, as it happens, which running agents have the new value. */
import { setTimeout as wait } from 'node:timers/promises'
import type { CageError } from '../../../core/errors.ts'
import type { EventData, RuntimeEvent } from '../../../core/events.ts'
import type { Snapshot } from '../../../state/snapshot.ts'
import type { SecretView } from '../../../vault/secret.ts'
import type { ApiClient } from '../../client/client.ts'

const POLL_INTERVAL_MS = 100
/** Longer than the server waits for an agent. */
const MAX_WAIT_MS = 10_000

export interface RotatedSecret extends SecretView {
  /** How many agents have it and how many need a restart; left out without a server, when no agents run. */
  rotation?: Pick<EventData['secret.rotated'], 'reloaded' | 'restart_required'>
}

/**
 * Stores the value and calls `report` with each agent's answer. Resolves when all have answered or were given up, or when
 * the server has ended, as the server of `start` does with its agent.
 */
export async function rotateAndReport(
  client: ApiClient,
  { id, name, environment }: SecretView,
  value: string,
  report: (message: string) => void,
): Promise<RotatedSecret> {
  const before = await lastSeq(client)
  const secret = await client.send<SecretView>('PUT', `/api/secrets/${id}`, { value })
  if (before === undefined) return secret
  let after: number = before
  for (const until = Date.now() + MAX_WAIT_MS; Date.now() < until; await wait(POLL_INTERVAL_MS)) {
    const events = await eventsAfter(client, after)
    if (!events) {
      report('The server ended before all agents had answered')
      return secret
    }
    for (const event of events) {
      after = event.seq
      if (!isOfRotation(event) || event.data.name !== name || event.data.environment !== environment) continue
      report(event.message)
      if (event.type !== 'secret.rotated') continue
      const { reloaded, restart_required } = event.data
      return { ...secret, rotation: { reloaded, restart_required } }
    }
  }
  return secret
}

/** Undefined when the server has ended. */
async function eventsAfter(client: ApiClient, seq: number): Promise<RuntimeEvent[] | undefined> {
  try {
    return (await client.send<{ events: RuntimeEvent[] }>('GET', `/api/events?after=${seq}&limit=500`)).events
  } catch (error) {
    if ((error as CageError).code === 'server_unreachable') return undefined
    throw error
  }
}

/** Undefined without a server, when no agents run. */
async function lastSeq(client: ApiClient): Promise<number | undefined> {
  try {
    return (await client.send<{ snapshot: Snapshot }>('GET', '/api/snapshot')).snapshot.seq
  } catch (error) {
    if ((error as CageError).code === 'not_found') return undefined
    throw error
  }
}

type RotationEvent = Extract<
  RuntimeEvent,
  { type: 'secret.reloaded' | 'secret.reload_failed' | 'secret.rotated' | 'secret.rolled_back' }
>

const isOfRotation = (event: RuntimeEvent): event is RotationEvent =>
  /^secret\.(reloaded|reload_failed|rotated|rolled_back)$/.test(event.type)
