/** Links that show a report without a sign-in: created, listed and revoked, for admins. */
import { useSignal } from '@preact/signals'
import { Action, dayAndTime, Fault, Panel, Row } from '../parts/parts.tsx'
import { useLoaded } from '../parts/use-loaded.ts'
import { send } from '../session.ts'
import './report-links.css'

interface Link {
  id: string
  expires_at: string
  created_by: string
}

const HOUR_S = 3_600
const LIFETIMES: readonly [seconds: number, word: string][] = [
  [HOUR_S, 'an hour'],
  [24 * HOUR_S, 'a day'],
  [7 * 24 * HOUR_S, 'a week'],
  [30 * 24 * HOUR_S, 'thirty days'],
]

export function ReportLinks({ path }: { path: string }) {
  const { value, fault, reload } = useLoaded<{ links: Link[] }>(path)
  const seconds = useSignal(24 * HOUR_S)
  const created = useSignal<string | null>(null)
  const create = async () => {
    const { token } = await send<{ token: string }>('POST', path, { expires_in_s: seconds.value })
    // The address that this page has, which is not the server's own behind a proxy.
    created.value = `${location.origin}/shared#${token}`
    await reload()
  }
  return (
    <Panel
      name="sharing"
      title="Share this report"
      aside={
        <>
          <select
            aria-label="How long the link works"
            value={seconds.value}
            onChange={({ currentTarget }) => {
              seconds.value = Number(currentTarget.value)
            }}
          >
            {LIFETIMES.map(([lifetime, word]) => (
              <option key={lifetime} value={lifetime}>
                for {word}
              </option>
            ))}
          </select>
          <Action label="Create link" kind="primary" act={create} />
        </>
      }
    >
      <p class="dim">
        Whoever has the link reads this report, and nothing else, without a sign-in. They must be able to reach this
        server.
      </p>
      <Fault text={fault.value} />
      {created.value && (
        <div role="status">
          <code class="revealed">{created.value}</code>
          <Action label="Copy" act={() => navigator.clipboard.writeText(created.value!)} />{' '}
          <span class="dim">It is not shown again.</span>
        </div>
      )}
      <div class="rows">
        {value.value?.links.map(({ id, expires_at, created_by }) => (
          <Row key={id} label={<span class="mono">{id}</span>}>
            <span class="dim">
              until {dayAndTime(expires_at)}, by {created_by}
            </span>{' '}
            <Action
              label="Revoke"
              title={`Revoke ${id}`}
              kind="ghost"
              act={async () => {
                await send('DELETE', `/api/report-links/${id}`)
                created.value = null
                await reload()
              }}
            />
          </Row>
        ))}
      </div>
    </Panel>
  )
}
