/** The page of a Control Panel: shared budgets, the machines that joined, and the leases that wait for a person. */
import { signal, useSignal } from '@preact/signals'
import { showUsd, usd } from '../../src/money.ts'
import type { FleetAgentView, FleetView, LeaseView, RuntimeView } from '../../src/panel/fleet-view.ts'
import { showCount, showDuration } from '../../src/units.ts'
import { StateTag } from '../panels/status.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { Page } from '../parts/page.tsx'
import { Empty, Fault, faultText, Panel, Tag, type Tone } from '../parts/parts.tsx'
import { Table } from '../parts/table.tsx'
import { AgentOrders, OrderDialog } from './orders.tsx'
import { Requests, refreshRequests } from './requests.tsx'
import { isAdmin, send, signInWithToken, token } from './session.ts'
import './fleet-page.css'

const fleet = signal<FleetView | null>(null)
const fault = signal<string | null>(null)
const resolving = signal<LeaseView | null>(null)

/** Reads the fleet again, if somebody has signed in. Never rejects. */
export async function refresh(): Promise<void> {
  if (token.value === null) return
  try {
    fleet.value = await send<FleetView>('GET', '/api/fleet')
    await refreshRequests()
    fault.value = null
  } catch (error) {
    fault.value = `Showing the last known state. ${faultText(error)}`
  }
}

export function FleetPage() {
  if (token.value === null) return <SignIn />
  const view = fleet.value
  return (
    <Page class="fleet" back={null} title="Fleet" actions={<span class="aside">{view?.organization}</span>}>
      <div class="stack">
        <Fault text={fault.value} />
        {view && <Budgets view={view} />}
        {view && <Requests onDecided={refresh} />}
        {view && <Runtimes view={view} />}
        {view && <Agents view={view} />}
      </div>
      <OrderDialog onOrdered={refresh} />
      {resolving.value && <ResolveDialog lease={resolving.value} />}
    </Page>
  )
}

const Budgets = ({ view: { budgets } }: { view: FleetView }) => (
  <Panel name="budgets" title="Budgets">
    <Table label="Budgets" columns={{ Budget: '', Limit: 'figure', Spent: 'figure', Lent: 'figure', Free: 'figure' }}>
      <tbody>
        {budgets.map(({ scope, name, period, limit_usd, settled_usd, lent_usd, free_usd }) => (
          <tr key={`${scope} ${name}`}>
            <td>
              {scope} {name}
              {period && <span class="aside"> · each {period}</span>}
            </td>
            {[limit_usd, settled_usd, lent_usd, free_usd].map((amount, column) => (
              <td key={column} class="figure">
                {showUsd(amount)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </Table>
  </Panel>
)

const RUNTIME_TONES: Record<RuntimeView['state'], Tone> = { connected: 'ok', silent: 'warn', revoked: 'off' }

const Runtimes = ({ view: { runtimes } }: { view: FleetView }) => (
  <Panel name="runtimes" title="Machines" aside={`${runtimes.length}`}>
    {runtimes.length === 0 && (
      <Empty title="No machine has joined yet">
        <pre>iron-cage runtimes invite</pre>
      </Empty>
    )}
    {runtimes.length > 0 && (
      <Table
        label="Machines"
        columns={{ Machine: '', State: '', 'Last seen': 'figure', Version: 'wide', Lent: 'figure', Leases: '' }}
      >
        <tbody>
          {runtimes.map((runtime) => (
            <RuntimeRow key={runtime.id} runtime={runtime} />
          ))}
        </tbody>
      </Table>
    )}
  </Panel>
)

const RuntimeRow = ({ runtime: { id, name, state, lag_ms, version, lent_usd, leases } }: { runtime: RuntimeView }) => (
  <tr>
    <td title={id}>{name}</td>
    <td>
      <Tag tone={RUNTIME_TONES[state]}>{state}</Tag>
    </td>
    <td class="figure">{lag_ms === null ? 'never' : `${showDuration(lag_ms)} ago`}</td>
    <td class="wide">{version}</td>
    <td class="figure">{showUsd(lent_usd)}</td>
    <td>
      {leases.length === 0 && '–'}
      {leases.map((lease) => (
        <LeaseLine key={lease.id} lease={lease} />
      ))}
    </td>
  </tr>
)

const Agents = ({ view: { runtimes } }: { view: FleetView }) => {
  const agents = runtimes.flatMap((runtime) => runtime.agents.map((agent) => ({ runtime, agent })))
  const lost = runtimes.reduce((sum, { lost_events }) => sum + lost_events, 0)
  return (
    <Panel
      name="agents"
      title="Agents"
      aside={lost > 0 ? `${showCount(lost)} events were lost before they could be sent` : `${agents.length}`}
    >
      {agents.length === 0 && <Empty title="No agent has run on any machine yet" />}
      {agents.length > 0 && (
        <Table
          label="Agents"
          columns={{
            Agent: '',
            Machine: '',
            State: '',
            Work: 'figure',
            Calls: 'figure',
            Spent: 'figure',
            Limit: 'figure',
            '': '',
          }}
        >
          <tbody>
            {agents.map(({ runtime, agent }) => (
              <AgentRow key={`${runtime.id} ${agent.id}`} runtime={runtime} agent={agent} />
            ))}
          </tbody>
        </Table>
      )}
    </Panel>
  )
}

const AgentRow = ({ runtime, agent }: { runtime: RuntimeView; agent: FleetAgentView }) => (
  <tr>
    <td title={agent.id}>{agent.name}</td>
    <td>{runtime.name}</td>
    <td title={agent.reason ?? undefined}>
      <StateTag state={agent.state} />
    </td>
    <td class="figure">{agent.work ? showWork(agent.work) : '–'}</td>
    <td class="figure">{showCount(agent.calls)}</td>
    <td class="figure">{showUsd(agent.spent_usd)}</td>
    <td class="figure">{showUsd(agent.limit_usd)}</td>
    <td>
      <AgentOrders runtime={runtime} agent={agent} />
    </td>
  </tr>
)

const showWork = ({ done, total, unit }: { done: number; total: number | null; unit: string }): string =>
  `${showCount(done)}${total === null ? '' : ` of ${showCount(total)}`} ${unit}`

const needsPerson = ({ state }: LeaseView): boolean => state === 'expired' || state === 'quarantined'

const LeaseLine = ({ lease }: { lease: LeaseView }) => (
  <div class="lease" title={lease.id}>
    <Tag tone={needsPerson(lease) ? 'bad' : 'info'}>{lease.state}</Tag>
    <span>
      {showUsd(lease.used_usd)} spent of {showUsd(lease.granted_usd)}
      {lease.held_usd !== '0' && `, ${showUsd(lease.held_usd)} held`}
    </span>
    {needsPerson(lease) && isAdmin.value && (
      <button
        type="button"
        class="btn"
        aria-label={`Resolve ${lease.id}`}
        onClick={() => {
          resolving.value = lease
        }}
      >
        Resolve
      </button>
    )}
  </div>
)

function ResolveDialog({ lease }: { lease: LeaseView }) {
  const close = () => {
    resolving.value = null
  }
  const act = async (fields: FormData) => {
    const body = { spent_usd: String(fields.get('spent')), reason: String(fields.get('reason')) }
    await send('POST', `/api/fleet/leases/${encodeURIComponent(lease.id)}/resolve`, body)
    await refresh()
  }
  return (
    <Dialog title="What was spent of this lease?" submit="Resolve" act={act} onClose={close}>
      <p>
        {showUsd(lease.lent_usd)} of <code>{lease.id}</code> is not accounted for. What was not spent is free again.
      </p>
      <label>
        Spent, in dollars, at least {showUsd(usd(lease.used_usd))}
        <input name="spent" inputMode="decimal" autocomplete="off" required />
      </label>
      <label>
        Reason, for the audit
        <input name="reason" maxLength={500} autocomplete="off" required />
      </label>
    </Dialog>
  )
}

function SignIn() {
  const wrong = useSignal<string | null>(null)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    const typed = String(new FormData(event.currentTarget as HTMLFormElement).get('token'))
    try {
      await signInWithToken(typed.trim())
      await refresh()
    } catch (error) {
      wrong.value = faultText(error)
    }
  }
  return (
    <main class="sign-in-page">
      <Empty title="Sign in to the Control Panel">
        <p>
          Open the link that <code>iron-cage panel</code> prints, or sign in with a token from:
        </p>
        <pre>iron-cage panel token</pre>
        <form class="sign-in" onSubmit={submit}>
          <label>
            Token
            <input name="token" type="password" autocomplete="off" required />
          </label>
          <button type="submit" class="btn primary">
            Sign in
          </button>
          <Fault text={wrong.value} />
        </form>
      </Empty>
    </main>
  )
}
