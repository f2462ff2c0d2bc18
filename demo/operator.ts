/**
 * The operator of the show: puts the agent's key into the vault, and rotates it after the lead with the trigger
 * `key_rotation`, through the same API as a person on the dashboard.
 */
import type { EventOf } from '../src/core/events.ts'
import type { RuntimeParts } from '../src/runtime.ts'
import type { Lead, World } from './world.ts'

export const DEMO_SECRET = 'OPENAI_API_KEY'
/** Every show starts with the key that the previous one ended with. */
export const DEMO_KEYS = ['sk-demo-key-of-the-simulated-world', 'sk-demo-second-key-of-the-simulated-world'] as const

const REQUESTER = { role: 'admin', actor: 'the demo', agentId: null } as const

/** The parts of a runtime that the operator needs. */
export type OperatedRuntime = Pick<RuntimeParts, 'url' | 'dashboardLink' | 'vault' | 'state' | 'config' | 'log'>

/**
 * Starts the operator. With a locked vault there is nothing to do, and the agent has the key from its configuration.
 */
export async function seatOperator(runtime: OperatedRuntime, world: World, leads: readonly Lead[]): Promise<void> {
  const { vault, state, config, log } = runtime
  const lead = leads.find(({ trigger }) => trigger === 'key_rotation')?.id
  if (vault.isLocked || lead === undefined) {
    world.keys.add(DEMO_KEYS[0])
    return
  }
  await vault.loaded
  const { environment } = config.agent
  const secret =
    vault.find(DEMO_SECRET, environment) ??
    (await vault.create({ name: DEMO_SECRET, environment, value: DEMO_KEYS[0] }, REQUESTER))
  const former = vault.valueOf(DEMO_SECRET, environment)!
  const next = DEMO_KEYS.find((key) => key !== former)!
  world.keys.add(former)
  let session: Promise<string> | undefined
  const unsubscribe = state.subscribe((event) => {
    if (event.type !== 'unit.completed') return
    if (isOf(event, lead - 1)) session = signIn(runtime)
    if (!isOf(event, lead)) return
    unsubscribe()
    rotate(runtime, session ?? signIn(runtime), secret.id, next, world)
      .then(() => world.keys.delete(former))
      .catch((error: Error) => log.logger.error({ error }, 'the demo could not rotate its key'))
  })
}

const isOf = ({ data }: EventOf<'unit.completed'>, lead: number): boolean =>
  data.label?.startsWith(`lead ${lead}:`) ?? false

/** Resolves with an access token, obtained from a link as on the dashboard. */
async function signIn({ url, dashboardLink }: OperatedRuntime): Promise<string> {
  const code = dashboardLink().split('#code=')[1]
  const answer = await send(`${url}/api/auth/exchange`, 'POST', { code })
  return (answer as { access_token: string }).access_token
}

/** The provider accepts a new key before it is used. */
async function rotate(
  { url }: OperatedRuntime,
  session: Promise<string>,
  secretId: string,
  value: string,
  world: World,
): Promise<void> {
  world.keys.add(value)
  await send(`${url}/api/secrets/${secretId}`, 'PUT', { value }, await session)
}

async function send(url: string, method: string, body: object, token?: string): Promise<unknown> {
  const answer = await fetch(url, {
    method,
    headers: { 'content-type': 'application/json', ...(token !== undefined && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(`${method} ${url} answered ${answer.status}`)
  return answer.json()
}
