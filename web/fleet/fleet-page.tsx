/** The page of a Control Panel: shared budgets, the machines that joined, and the leases that wait for a person. */
import { signal } from '@preact/signals'
import { showExactUsd, showUsd } from '../../src/core/money.ts'
import { showDuration, showNumberOf } from '../../src/core/units.ts'
import type { FleetView, LeaseView, RuntimeView } from '../../src/panel/fleet-view.ts'
import { address } from '../address.ts'
import { AuditPage } from '../pages/audit-page.tsx'
import { SignIn } from '../pages/sign-in.tsx'
import { amountOf, Dialog } from '../parts/dialog.tsx'
import { Empty, Fault, faultText, Panel, Tag, type Tone } from '../parts/parts.tsx'
import { Shell } from '../parts/shell.tsx'
import { Table } from '../parts/table.tsx'
import { isAdmin, send, session } from '../session.ts'
import { Agents } from './agents.tsx'
import { AlertsPage } from './alerts-page.tsx'
import { BudgetDialog } from './budget-dialogs.tsx'
import { Budgets } from './budgets.tsx'
import { FleetHeader } from './fleet-header.tsx'
import { FleetIncidents } from './incidents.tsx'
import { Invitation, InviteButton, InviteDialog } from './invite.tsx'
import { OrderDialog } from './orders.tsx'
import { PeoplePage } from './people-page.tsx'
import { ProviderSignIn } from './provider-sign-in.tsx'
import { Requests, refreshRequests } from './requests.tsx'
import { SecretsPage } from './secrets-page.tsx'
import { SpendingPage } from './spending-page.tsx'
import './fleet-page.css'

const fleet = signal<FleetView | null>(null)
const fault = signal<string | null>(null)
const resolving = signal<{ lease: LeaseView; machine: string } | null>(null)

/** Reads the fleet again, if a person has signed in. Never rejects. */
export async function refresh(): Promise<void> {
  if (session.value !== 'open') return
  try {
    fleet.value = await send<FleetView>('GET', '/api/fleet')
    await refreshRequests()
    fault.value = null
  } catch (error) {
    fault.value = `Showing the last known state. ${faultText(error)}`
  }
}

export function FleetPage() {
  if (session.value === 'starting') return null
  if (session.value !== 'open') {
    return (
      <SignIn title="Sign in to the Control Panel">
        <p>
          Open the link that <code>iron-cage panel</code> prints. Users of an organization other than{' '}
          <code>default</code> sign in as <code>organization/name</code>.
        </p>
        <ProviderSignIn />
      </SignIn>
    )
  }
  const { page = 'agents' } = address.value ?? {}
  return (
    <Shell class="fleet">
      <FleetHeader organization={fleet.value?.organization} current={page} />
      <Fault text={fault.value ?? reconcilingText(fleet.value)} />
      <CurrentPage page={page} />
      <OrderDialog onOrdered={refresh} />
      {resolving.value && <ResolveDialog {...resolving.value} />}
    </Shell>
  )
}

const reconcilingText = (view: FleetView | null): string | null =>
  view?.reconciling_until
    ? `The panel's database has lost its last commits. Nothing is lent until every machine has been heard, or until ${view.reconciling_until}.`
    : null

function CurrentPage({ page }: { page: string }) {
  switch (page) {
    case 'spending':
      return <SpendingPage />
    case 'incidents':
      return <FleetIncidents />
    case 'secrets':
      return <SecretsPage />
    case 'alerts':
      return isAdmin.value ? <AlertsPage /> : ADMINS_ONLY
    case 'audit':
      return isAdmin.value ? <AuditPage /> : ADMINS_ONLY
    case 'people':
      return isAdmin.value ? <PeoplePage /> : ADMINS_ONLY
    default:
      return <Overview />
  }
}

const ADMINS_ONLY = (
  <main>
    <Empty title="This page is for admins">
      <p>
        <a href="#/">The fleet</a>
      </p>
    </Empty>
  </main>
)

function Overview() {
  const view = fleet.value
  return (
    <main class="overview-page">
      {view && <Budgets budgets={view.budgets} />}
      {view && <Requests onDecided={refresh} />}
      {view && <Runtimes view={view} />}
      {view && <Agents view={view} />}
      <BudgetDialog budgets={view?.budgets ?? []} onChanged={refresh} />
      <InviteDialog budgets={view?.budgets ?? []} />
    </main>
  )
}

const RUNTIME_TONES: Record<RuntimeView['state'], Tone> = { connected: 'ok', silent: 'warn', revoked: 'off' }

const RUNTIME_MEANINGS: Record<RuntimeView['state'], string> = {
  connected: 'It reported within the last seconds.',
  silent:
    'It has not reported for a while. What it was lent stays lent until it is back, or somebody resolves its leases.',
  revoked: 'It has left or was revoked, and can no longer spend.',
}

const NEVER_STARTED = 'It has joined, and no server has run there since.'

const Runtimes = ({ view: { runtimes } }: { view: FleetView }) => (
  <Panel
    name="runtimes"
    title="Machines"
    aside={
      <>
        <span class="dim">{showNumberOf(runtimes.length, 'machine')}</span>
        <InviteButton />
      </>
    }
  >
    <Invitation />
    {runtimes.length > 0 && (
      <p class="dim">
        A lease is a slice of the budgets, lent to a machine, so that its calls need not ask here first.
      </p>
    )}
    {runtimes.length === 0 && (
      <Empty title="No machine has joined yet">
        <p>{isAdmin.value ? 'Invite one, here or with' : 'An admin invites one, here or with'}</p>
        <pre>iron-cage runtimes invite</pre>
      </Empty>
    )}
    {runtimes.length > 0 && (
      <Table
        cards
        label="Machines"
        columns={{ Machine: '', State: '', 'Last seen': 'wide figure', Version: 'wide', Lent: 'figure', Leases: '' }}
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
    <td>
      {name} <code class="id">{id}</code>
    </td>
    <td title={lag_ms === null ? NEVER_STARTED : RUNTIME_MEANINGS[state]}>
      <Tag tone={RUNTIME_TONES[state]}>{lag_ms === null && state === 'silent' ? 'not started' : state}</Tag>
    </td>
    <td class="wide figure">{lag_ms === null ? 'never' : `${showDuration(lag_ms)} ago`}</td>
    <td class="wide">{version}</td>
    <td class="figure">{showUsd(lent_usd)}</td>
    <td>
      {leases.length === 0 && '–'}
      {leases.map((lease) => (
        <LeaseLine key={lease.id} lease={lease} machine={name} />
      ))}
    </td>
  </tr>
)

const needsPerson = ({ state }: LeaseView): boolean => state === 'expired' || state === 'quarantined'

const LeaseLine = ({ lease, machine }: { lease: LeaseView; machine: string }) => (
  <div class="lease">
    <Tag tone={needsPerson(lease) ? 'bad' : 'info'}>{lease.state}</Tag>
    <span>
      {showUsd(lease.used_usd)} spent of {showUsd(lease.granted_usd)}
      {lease.held_usd !== '0' && `, ${showUsd(lease.held_usd)} held`} <code class="id">{lease.id}</code>
    </span>
    {needsPerson(lease) && isAdmin.value && (
      <button
        type="button"
        class="btn"
        aria-label={`Resolve ${lease.id}`}
        onClick={() => {
          resolving.value = { lease, machine }
        }}
      >
        Resolve
      </button>
    )}
  </div>
)

function ResolveDialog({ lease, machine }: { lease: LeaseView; machine: string }) {
  const close = () => {
    resolving.value = null
  }
  const act = async (fields: FormData) => {
    const [spent_usd, reason] = [amountOf(fields, 'spent'), String(fields.get('reason'))]
    const body = { spent_usd, reason, above_lent: fields.has('above-lent') }
    await send('POST', `/api/fleet/leases/${encodeURIComponent(lease.id)}/resolve`, body)
    await refresh()
  }
  return (
    <Dialog title={`What has ${machine} spent?`} submit="Resolve" act={act} onClose={close}>
      <p>
        Of {showExactUsd(lease.granted_usd)} lent to {machine}, {showExactUsd(lease.used_usd)} is reported as spent and{' '}
        {showExactUsd(lease.lent_usd)} is not accounted for (<code>{lease.id}</code>). What was not spent becomes free.
      </p>
      <label>
        Spent in total, in dollars: {showExactUsd(lease.used_usd)} or more
        <input name="spent" inputMode="decimal" autocomplete="off" required />
      </label>
      <label>
        <input type="checkbox" name="above-lent" /> More than was lent: its calls cost more than they held
      </label>
      <label>
        Reason, for the audit
        <input name="reason" maxLength={500} autocomplete="off" required />
      </label>
    </Dialog>
  )
}
