/** A secret's new value on its way to the agents that run, told while it goes. */
import { setTimeout as wait } from 'node:timers/promises'
import type { CageError } from '../errors.ts'
import type { EventData, RuntimeEvent } from '../events.ts'
import type { Snapshot } from '../state/snapshot.ts'
import type { SecretView } from '../vault/secret.ts'
import type { Client } from './client.ts'

const ASK_EVERY_MS = 100
/** Longer than the server waits for an agent. */
const GIVE_UP_MS = 10_000

export interface RotatedSecret extends SecretView {
  /** How many agents have it and how many need a restart; left out when no server runs, and so no agent. */
  rotation?: Pick<EventData['secret.rotated'], 'reloaded' | 'restart_required'>
}

/**
 * Gives the secret its value and tells each agent's answer; resolves when all have answered or were given up, or when the
 * server has ended, as one does with its agent.
 */
export async function rotateTelling(
  client: Client,
  { id, name, environment }: SecretView,
  value: string,
  tell: (message: string) => void,
): Promise<RotatedSecret> {
  const before = await lastSeq(client)
  const secret = await client.send<SecretView>('PUT', `/api/secrets/${id}`, { value })
  if (before === undefined) return secret
  let after: number = before
  for (const until = Date.now() + GIVE_UP_MS; Date.now() < until; await wait(ASK_EVERY_MS)) {
    const events = await eventsAfter(client, after)
    if (!events) {
      tell('The server ended before it told which agents have it')
      return secret
    }
    for (const event of events) {
      after = event.seq
      if (!isOfRotation(event) || event.data.name !== name || event.data.environment !== environment) continue
      tell(event.message)
      if (event.type !== 'secret.rotated') continue
      const { reloaded, restart_required } = event.data
      return { ...secret, rotation: { reloaded, restart_required } }
    }
  }
  return secret
}

/** Undefined when the server has ended. */
async function eventsAfter(client: Client, seq: number): Promise<RuntimeEvent[] | undefined> {
  try {
    return (await client.send<{ events: RuntimeEvent[] }>('GET', `/api/events?after=${seq}&limit=500`)).events
  } catch (error) {
    if ((error as CageError).code === 'server_unreachable') return undefined
    throw error
  }
}

/** Undefined when commands work on the file: then there is nobody to be told. */
async function lastSeq(client: Client): Promise<number | undefined> {
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
