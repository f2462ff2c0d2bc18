/** The stage of the show: the outside world, the receiver of alerts, and the initial state of every show. */
import { resolve } from 'node:path'
import { cacheOwner } from '../src/breaker/service-cache.ts'
import type { Config } from '../src/config/schema.ts'
import { packageFolder } from '../src/core/package-folder.ts'
import type { RuntimeParts } from '../src/runtime.ts'
import { type Inbox, openInbox } from './inbox.ts'
import { type OperatedRuntime, seatOperator } from './operator.ts'
import { type Lead, linkedinProfile, linkedinRequest, startWorld, type World, type WorldOptions } from './world.ts'
import { DEMO_AGENT, DEMO_ENVIRONMENT, demoConfig } from './world-config.ts'

export interface Stage extends AsyncDisposable {
  world: World
  inbox: Inbox
  config: Config
  /**
   * Brings a runtime to the initial state: lead 1, closed circuits, the profiles of an earlier run in the cache, the
   * agent's key in the vault, and an operator who will rotate it.
   */
  prepare(runtime: Pick<RuntimeParts, 'checkpoints' | 'circuits' | 'cache'> & OperatedRuntime): Promise<void>
}

export interface StageOptions extends WorldOptions {
  /** Minimum time per lead, in ms. */
  paceMs: number
  /** The configuration from flags; the demo's own settings override it. */
  given: Config
}

export async function openStage({ paceMs, given, ...world }: StageOptions): Promise<Stage> {
  const [outside, inbox] = await Promise.all([startWorld(world), openInbox()])
  return {
    world: outside,
    inbox,
    config: demoConfig({ world: outside, inbox, paceMs }, given),
    prepare: (runtime) => {
      prepare(runtime, world.leads)
      return seatOperator(runtime, outside, world.leads)
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([outside.close(), inbox.close()])
    },
  }
}

function prepare(
  { checkpoints, circuits, state, cache }: Parameters<Stage['prepare']>[0],
  leads: readonly Lead[],
): void {
  const script = `${packageFolder()}demo/lead_gen_agent.py`
  const owner = cacheOwner({ id: '', name: DEMO_AGENT, script: resolve(script), environment: DEMO_ENVIRONMENT })
  checkpoints.forget({ name: DEMO_AGENT })
  for (const name of Object.keys(state.read().circuits)) circuits.reset(name, 'the demo')
  for (const lead of leads) {
    cache.put(
      'linkedin_api',
      { owner, method: 'GET', path: linkedinRequest(lead), headers: {}, body: Buffer.alloc(0) },
      { status: 200, contentType: 'application/json', body: Buffer.from(JSON.stringify(linkedinProfile(lead))) },
    )
  }
}
