/** The settings in force, and where each is from. */
import { useSignal } from '@preact/signals'
import { showNumberOf } from '../../src/core/units.ts'
import { Action, Fault, Panel } from '../parts/parts.tsx'
import { Table } from '../parts/table.tsx'
import { useLoaded } from '../parts/use-loaded.ts'

interface Setting {
  value: unknown
  origin: string
}
/** `next`: from the next start on, if it is another one. */
type Listed = Setting & { key: string; next: Setting | null }

export function ConfigurationPanel() {
  const { value, fault, reload } = useLoaded<{ file: string | null; settings: Listed[] }>('/api/config')
  const search = useSignal('')
  const withDefaults = useSignal(false)
  const all = value.value?.settings ?? []
  const found = all.filter(
    ({ key, origin, next }) =>
      (withDefaults.value || origin !== 'default' || next) &&
      `${key} ${origin} ${next?.origin ?? ''}`.toLowerCase().includes(search.value),
  )
  return (
    <Panel
      name="configuration"
      title="Configuration"
      aside={
        <>
          <label class="dim">
            <input
              type="checkbox"
              checked={withDefaults.value}
              onChange={({ currentTarget }) => (withDefaults.value = currentTarget.checked)}
            />{' '}
            also defaults
          </label>
          <input
            type="search"
            aria-label="Find a setting"
            placeholder="setting or origin"
            onInput={({ currentTarget }) => (search.value = currentTarget.value.trim().toLowerCase())}
          />
          <Action label="Refresh" kind="ghost" act={reload} />
        </>
      }
    >
      <Fault text={fault.value} />
      <p class="dim">
        {value.value?.file ? <>From {value.value.file}. </> : 'There is no configuration file. '}
        Limits that were changed on this page count instead of these.
      </p>
      {value.value && found.length === 0 && (
        <p class="dim empty">
          {search.value
            ? 'No setting matches.'
            : `Nothing differs from the defaults: ${showNumberOf(all.length, 'setting')}.`}
        </p>
      )}
      {found.length > 0 && (
        <Table label="Settings in force" columns={{ Setting: '', Value: '', Origin: '' }}>
          <tbody>
            {found.map(({ key, value, origin, next }) => (
              <tr key={key}>
                <td class="mono">{key}</td>
                <td>
                  {shown(value)}
                  {next && <div class="dim">{shown(next.value)} from the next start</div>}
                </td>
                <td class={origin === 'default' ? 'dim' : undefined}>
                  {origin}
                  {next && <div class="dim">{next.origin}</div>}
                </td>
              </tr>
            ))}
          </tbody>
        </Table>
      )}
    </Panel>
  )
}

/** As `iron-cage config show` writes it. */
const shown = (value: unknown): string =>
  value === null ? 'none' : typeof value === 'string' ? value : JSON.stringify(value)
