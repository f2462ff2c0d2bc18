/** The audit log with its verification, for admins. */
import { useSignal } from '@preact/signals'
import { showCount } from '../../src/core/units.ts'
import { address, setQuery } from '../address.ts'
import { download } from '../download.ts'
import { Action, dayAndTime, Empty, Fault, Panel, Tag } from '../parts/parts.tsx'
import { Table } from '../parts/table.tsx'
import { useLoaded } from '../parts/use-loaded.ts'
import { send } from '../session.ts'

interface AuditRow {
  seq: number
  at: string
  /** Of the actor; left out by a Control Panel. */
  role?: string
  actor: string
  action: string
  target: string | null
  details: unknown
}

type Verdict = { ok: true; rows: number } | { ok: false; rows: number; row: number | null; problem: string }

export function AuditPage() {
  const before = address.value?.query.get('before')
  const { value, fault } = useLoaded<{ rows: AuditRow[]; next: number | null }>(
    `/api/audit?limit=200${before ? `&before=${before}` : ''}`,
  )
  const verdict = useSignal<Verdict | null>(null)
  const verify = async () => {
    verdict.value = await send<Verdict>('GET', '/api/audit/verify')
  }
  const page = value.value
  return (
    <main class="stack">
      <Panel
        name="audit"
        title="Audit log"
        aside={
          <>
            {verdict.value && <VerdictTag verdict={verdict.value} />}
            <Action label="Verify" act={verify} />
            <Action label="Export" kind="ghost" act={() => download('/api/audit/export', 'audit.jsonl')} />
          </>
        }
      >
        <Fault text={fault.value} />
        {page?.rows.length === 0 && <Empty title="No rows" />}
        {page && page.rows.length > 0 && (
          <Table
            cards
            label="Rows of the audit log"
            columns={{ Row: 'wide figure', When: '', Who: '', Action: '', Target: '', Details: 'wide' }}
            after={
              <p class="buttons">
                {before && (
                  <button type="button" class="btn" onClick={() => setQuery('before', '')}>
                    Newest
                  </button>
                )}
                {page.next !== null && (
                  <button type="button" class="btn" onClick={() => setQuery('before', String(page.next))}>
                    Older
                  </button>
                )}
              </p>
            }
          >
            <tbody>
              {page.rows.map(({ seq, at, role, actor, action, target, details }) => (
                <tr key={seq}>
                  <td class="wide figure">{seq}</td>
                  <td>{dayAndTime(at)}</td>
                  <td>
                    {actor} <span class="dim">{role}</span>
                  </td>
                  <td class="mono">{action}</td>
                  <td class="mono">{target}</td>
                  <td class="wide mono dim details">{detailsText(details)}</td>
                </tr>
              ))}
            </tbody>
          </Table>
        )}
      </Panel>
    </main>
  )
}

const VerdictTag = ({ verdict }: { verdict: Verdict }) =>
  verdict.ok ? (
    <Tag tone="ok" mark="✔">
      {showCount(verdict.rows)} rows, chain intact
    </Tag>
  ) : (
    <Tag tone="bad" mark="✖">
      {verdict.row === null ? verdict.problem : `row ${verdict.row}: ${verdict.problem}`}
    </Tag>
  )

const detailsText = (details: unknown): string =>
  Object.entries(details ?? {})
    .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' · ')
