import { asCageError } from '../../../core/errors.ts'
import { showUsd } from '../../../core/money.ts'
import { showAge } from '../../../core/units.ts'
import { printable } from '../../../log/printable.ts'
import { wrapLines } from '../../../log/wrap.ts'
import type { FleetView, RuntimeView } from '../../../panel/fleet-view.ts'
import type { ApiClient } from '../../client/client.ts'
import { type CliCommand, command } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { connectToPanel } from './panel-client.ts'

export const listRuntimesCommand: CliCommand = (terminal) =>
  command({
    command: 'list',
    describe: 'List the machines that joined, what they were lent, and open invitations',
    builder: (yargs) =>
      yargs
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 runtimes list --json', 'with every lease']]),
    handler: async ({ json: asJson }) => {
      const client = connectToPanel(terminal)
      const { runtimes, reconciling_until: until } = await client.send<FleetView>('GET', '/api/fleet')
      if (asJson) return terminal.out(json(runtimes))
      printTable(runtimes.map(rowOf), terminal, ['RUNTIME', 'NAME', 'STATE', 'LAST SEEN', 'LENT'])
      const invitations = (await openInvitations(client)).map(toJoin)
      const lines = [...runtimes.flatMap(toResolve), ...runtimes.flatMap(toExpire), ...invitations]
      wrapLines(lines, terminal.columns).forEach(terminal.out)
      if (until)
        terminal.err(`nothing is lent until every machine was heard, or ${until}: the database lost its last commits`)
      if (runtimes.length === 0) terminal.err('no machine has joined yet; invite one with "iron-cage runtimes invite"')
    },
  })

const rowOf = ({ id, name, state, lag_ms, lent_usd }: RuntimeView): string[] => [
  id,
  name,
  state,
  lag_ms === null ? 'never' : showAge(lag_ms),
  showUsd(lent_usd),
]

/** Leases that wait for a person, which "runtimes resolve" needs the ids of. */
const toResolve = ({ name, leases }: RuntimeView): string[] =>
  leases
    .filter(({ state }) => state === 'expired' || state === 'quarantined')
    .map(({ id, lent_usd }) => printable(`to resolve: ${id} of ${name}, ${showUsd(lent_usd)}`))

/** The leases of silent machines. */
const toExpire = ({ name, state, leases }: RuntimeView): string[] =>
  state === 'connected'
    ? []
    : leases
        .filter((lease) => lease.state === 'active')
        .map(({ id, lent_usd, expires_at }) =>
          printable(`lent: ${id} to ${name}, ${showUsd(lent_usd)}; expires at ${expires_at} unless it reports`),
        )

const toJoin = ({ id, name, expires_at }: Credential): string =>
  printable(`invited: ${id} "${name}", may join until ${expires_at}`)

/** None for those who may not see them. */
async function openInvitations(client: ApiClient): Promise<Credential[]> {
  try {
    const { credentials } = await client.send<{ credentials: Credential[] }>('GET', '/api/fleet/credentials')
    return credentials.filter(({ kind }) => kind === 'invitation')
  } catch (error) {
    if (asCageError(error).code === 'forbidden') return []
    throw error
  }
}

interface Credential {
  id: string
  kind: string
  name: string
  expires_at: string | null
}
