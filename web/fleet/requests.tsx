/** Requests for more of a budget, which another person decides. */
import { signal } from '@preact/signals'
import { showUsd } from '../../src/core/money.ts'
import type { RequestView, TeamMemberView, TeamsView } from '../../src/panel/fleet-view.ts'
import { Dialog } from '../parts/dialog.tsx'
import { Panel, Tag, type Tone } from '../parts/parts.tsx'
import { Table } from '../parts/table.tsx'
import { isAdmin, personName, send } from '../session.ts'
import { nameOf } from './budget-dialogs.tsx'

type Verb = 'approve' | 'reject'

const requests = signal<readonly RequestView[]>([])
/** People of teams, for a lead. */
const members = signal<readonly TeamMemberView[]>([])
const deciding = signal<{ request: RequestView; verb: Verb } | null>(null)

/** Rejects with ApiError. */
export async function refreshRequests(): Promise<void> {
  requests.value = (await send<{ requests: RequestView[] }>('GET', '/api/fleet/requests')).requests
  if (isAdmin.value || !requests.value.some(isPending)) return
  members.value = (await send<TeamsView>('GET', '/api/fleet/teams')).members
}

/** `onDecided`: reads the data again that an approval changes. */
export const Requests = ({ onDecided }: { onDecided: () => Promise<void> }) => (
  <>
    {requests.value.length > 0 && (
      <Panel
        name="requests"
        title="Requests"
        aside={<span class="dim">{requests.value.filter(isPending).length} to decide</span>}
      >
        <Table
          cards
          label="Requests"
          columns={{ Budget: '', More: 'figure', 'Asked by': '', Reason: 'wide', State: '' }}
        >
          <tbody>
            {requests.value.map((request) => (
              <RequestRow key={request.id} request={request} />
            ))}
          </tbody>
        </Table>
      </Panel>
    )}
    {deciding.value && <DecideDialog {...deciding.value} onDecided={onDecided} />}
  </>
)

const isPending = ({ state }: RequestView): boolean => state === 'pending'

/** The panel checks it again. */
const mayDecide = ({ scope, name }: RequestView): boolean =>
  isAdmin.value ||
  (scope === 'user' &&
    name !== personName.value &&
    members.value.some(({ team, username }) => username === name && leads(team)))

const leads = (team: string): boolean =>
  members.value.some((one) => one.team === team && one.role === 'lead' && one.username === personName.value)

const TONES: Record<RequestView['state'], Tone> = { pending: 'warn', approved: 'ok', rejected: 'off' }

const RequestRow = ({ request }: { request: RequestView }) => {
  const { add_usd, asked_by, reason, state, decided_by, decision } = request
  return (
    <tr>
      <td>{nameOf(request)}</td>
      <td class="figure">{showUsd(add_usd)}</td>
      <td>{asked_by}</td>
      <td class="wide">{reason}</td>
      <td title={decision === null ? undefined : `${decided_by}: ${decision}`}>
        {isPending(request) && mayDecide(request) ? (
          VERBS.map((verb) => decideButton(request, verb))
        ) : (
          <Tag tone={TONES[state]}>{state}</Tag>
        )}
      </td>
    </tr>
  )
}

const VERBS: readonly Verb[] = ['approve', 'reject']
const WORDS: Record<Verb, string> = { approve: 'Approve', reject: 'Reject' }

const decideButton = (request: RequestView, verb: Verb) => (
  <button
    key={verb}
    type="button"
    class="btn"
    aria-label={`${WORDS[verb]} ${request.id}`}
    onClick={() => {
      deciding.value = { request, verb }
    }}
  >
    {WORDS[verb]}
  </button>
)

function DecideDialog({
  request: { id, scope, name, add_usd, asked_by, reason },
  verb,
  onDecided,
}: {
  request: RequestView
  verb: Verb
  onDecided: () => Promise<void>
}) {
  const close = () => {
    deciding.value = null
  }
  const act = async (fields: FormData) => {
    await send('POST', `/api/fleet/requests/${encodeURIComponent(id)}/${verb}`, {
      reason: String(fields.get('reason')),
    })
    await onDecided()
  }
  return (
    <Dialog title={`${WORDS[verb]} ${showUsd(add_usd)} more?`} submit={WORDS[verb]} act={act} onClose={close}>
      <p>
        {asked_by} asks for {showUsd(add_usd)} more for {nameOf({ scope, name })}: {reason}
      </p>
      <label>
        Your reason, for the audit
        <input name="reason" maxLength={500} autocomplete="off" required />
      </label>
    </Dialog>
  )
}
