/** The secrets that the panel keeps for agents of all machines: where they apply, and when they were rotated. No values. */
import type { CentralSecretView } from '../../src/panel/fleet-view.ts'
import { LoadedTable } from '../parts/loaded-table.tsx'
import { dayAndTime } from '../parts/parts.tsx'
import { useLoaded } from '../parts/use-loaded.ts'

export function SecretsPage() {
  const { value, fault, reload } = useLoaded<{ secrets: CentralSecretView[] }>('/api/fleet/secrets')
  return (
    <main class="stack">
      <LoadedTable
        name="secrets"
        title="Secrets"
        unit="secret"
        fault={fault}
        reload={reload}
        entries={value.value?.secrets}
        empty={{
          title: 'The organization has no secrets yet',
          children: <pre>iron-cage secrets set OPENAI_API_KEY --org &lt; key.txt</pre>,
        }}
        label="Secrets of the organization"
        columns={{ Name: '', Environment: '', Agents: '', 'Last set': '', Rotations: 'wide figure', By: 'wide' }}
      >
        {(secret) => <SecretRow key={secret.id} secret={secret} />}
      </LoadedTable>
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
