/** The secrets that the panel keeps for agents of all machines: where they apply, and when they were rotated. No values. */
import type { CentralSecretView } from '../../src/panel/fleet-view.ts'
import { showNumberOf } from '../../src/units.ts'
import { Action, dayAndTime, Empty, Fault, Panel } from '../parts/parts.tsx'
import { Table } from '../parts/table.tsx'
import { useLoaded } from '../parts/use-loaded.ts'

export function SecretsPage() {
  const { value, fault, reload } = useLoaded<{ secrets: CentralSecretView[] }>('/api/fleet/secrets')
  const secrets = value.value?.secrets
  return (
    <main class="stack">
      <Panel
        name="secrets"
        title="Secrets"
        aside={
          <>
            {secrets && <span class="dim">{showNumberOf(secrets.length, 'secret')}</span>}
            <Action label="Refresh" kind="ghost" act={reload} />
          </>
        }
      >
        <Fault text={fault.value} />
        {secrets?.length === 0 && (
          <Empty title="The organization has no secrets yet">
            <pre>iron-cage secrets set OPENAI_API_KEY --org &lt; key.txt</pre>
          </Empty>
        )}
        {secrets && secrets.length > 0 && (
          <Table
            label="Secrets of the organization"
            columns={{
              Name: '',
              Environment: '',
              Agents: '',
              'Last set': '',
              Rotations: 'wide figure',
              By: 'wide',
            }}
          >
            <tbody>
              {secrets.map((secret) => (
                <SecretRow key={secret.id} secret={secret} />
              ))}
            </tbody>
          </Table>
        )}
      </Panel>
    </main>
  )
}

/** The first version is no rotation. */
const SecretRow = ({
  secret: { name, environment, agent, version, updated_at, updated_by },
}: {
  secret: CentralSecretView
}) => (
  <tr>
    <td>{name}</td>
    <td>{environment ?? 'every one'}</td>
    <td>{agent ?? 'all'}</td>
    <td title={updated_at}>{dayAndTime(updated_at)}</td>
    <td class="wide figure">{version - 1}</td>
    <td class="wide">{updated_by}</td>
  </tr>
)
