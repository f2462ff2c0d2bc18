/** Stopping, pausing and resuming agents of other machines, and what became of it. */
import { signal } from '@preact/signals'
import type { FleetAgentView, OrderView, RuntimeView } from '../../src/panel/fleet-view.ts'
import { Dialog } from '../parts/dialog.tsx'
import { Tag, type Tone } from '../parts/parts.tsx'
import { isAdmin, send } from '../session.ts'

type Action = OrderView['action']

interface Asked {
  runtime: RuntimeView
  agent: FleetAgentView
  action: Action
}

const asked = signal<Asked | null>(null)

const WORDS: Record<Action, string> = { stop: 'Stop', pause: 'Pause', resume: 'Resume' }

/** The possible orders to an agent in this state. */
function actionsOf({ state }: FleetAgentView): Action[] {
  if (state === 'running') return ['pause', 'stop']
  if (state === 'paused') return ['resume', 'stop']
  return state === 'starting' ? ['stop'] : []
}

/** Of an agent that has ended only what ended it, or failed. */
const isShown = ({ ended_at, order }: FleetAgentView): boolean =>
  ended_at === null || order?.action === 'stop' || order?.state === 'failed'

export const AgentOrders = ({ runtime, agent }: Omit<Asked, 'action'>) => (
  <>
    {agent.order && isShown(agent) && <OrderLine order={agent.order} runtime={runtime} />}
    {isAdmin.value &&
      runtime.state !== 'revoked' &&
      actionsOf(agent).map((action) => (
        <button
          key={action}
          type="button"
          class={`btn ${runtime.state === 'connected' ? '' : 'ghost'}`}
          aria-label={`${WORDS[action]} ${agent.id}`}
          onClick={() => {
            asked.value = { runtime, agent, action }
          }}
        >
          {WORDS[action]}
        </button>
      ))}
  </>
)

const TONES: Record<OrderView['state'], Tone> = { pending: 'warn', done: 'ok', failed: 'bad' }

function OrderLine({ order: { action, by, state, message }, runtime }: { order: OrderView; runtime: RuntimeView }) {
  const waits = state === 'pending' && runtime.state !== 'connected' ? `, waits for ${runtime.name}` : ''
  return (
    <div title={`${by}${message === null ? '' : `: ${message}`}`}>
      <Tag tone={TONES[state]}>
        {action} {state}
        {waits}
      </Tag>
    </div>
  )
}

/** `onOrdered`: reads the data again that an order changes. */
export function OrderDialog({ onOrdered }: { onOrdered: () => Promise<void> }) {
  if (asked.value === null) return null
  const { runtime, agent, action } = asked.value
  const close = () => {
    asked.value = null
  }
  const act = async () => {
    await send('POST', `/api/fleet/runtimes/${encodeURIComponent(runtime.id)}/orders`, { agent_id: agent.id, action })
    await onOrdered()
  }
  return (
    <Dialog title={`${WORDS[action]} ${agent.name}?`} submit={WORDS[action]} act={act} onClose={close}>
      <p>
        {EFFECTS[action]} <code>{agent.id}</code> runs on {runtime.name}
        {runtime.state === 'connected'
          ? '.'
          : ', which is silent: the order waits until that machine is connected again.'}
      </p>
    </Dialog>
  )
}

const EFFECTS: Record<Action, string> = {
  stop: 'Its processes are ended.',
  pause: 'Its processes and calls wait until it is resumed.',
  resume: 'It goes on where it was paused.',
}
