import { type Authority, entryFor, showAuthority } from '../../../config/authority.ts'
import type { EventOf, RuntimeEvent } from '../../../core/events.ts'
import { showCount } from '../../../core/units.ts'
import { AGENT_HELP, resolveAgentId } from '../../client/agent-id.ts'
import type { ApiClient } from '../../client/client.ts'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { withDatabase } from '../../settings/flags.ts'

export const suggestCommand: CliCommand = (terminal) =>
  command({
    command: 'suggest [agent]',
    describe: 'Print the list of hosts that agents reached, or were refused, as agent.egress of the configuration',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('agent', { type: 'string', describe: `${AGENT_HELP} (default: all)` })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([
          ['$0 start agent.py --egress observe', 'see what it reaches'],
          ['$0 egress suggest', 'the list that would allow it'],
        ]),
    handler: async ({ agent, json: asJson, ...flags }) => {
      const hosts = await withClient(flags, terminal, async (client) => {
        const id = agent === undefined ? undefined : await resolveAgentId(client, agent)
        return summed([
          ...(await eventsOf(client, 'egress.allowed', id)),
          ...(await eventsOf(client, 'egress.denied', id)),
        ])
      })
      if (asJson) return terminal.out(json(hosts))
      if (hosts.length === 0) return terminal.err('no agent has connected anywhere: run one with --egress observe')
      for (const line of yamlOf(hosts)) terminal.out(line)
    },
  })

interface SeenHost {
  /** As `agent.egress` names it. */
  host: string
  /** It belongs into `private`, with its port. */
  private: boolean
  connections: number
  refused: number
  /** Why it was refused last; null if it was not. */
  reason: string | null
}

type Seen = EventOf<'egress.allowed'> | EventOf<'egress.denied'>

/** Oldest first. */
async function eventsOf<T extends Seen['type']>(
  client: ApiClient,
  type: T,
  agent: string | undefined,
): Promise<Seen[]> {
  const found: Seen[] = []
  for (let after = 0, isMore = true; isMore; ) {
    const query = new URLSearchParams({ type, after: String(after), limit: '1000', ...(agent && { agent_id: agent }) })
    const page = await client.send<{ events: RuntimeEvent[]; next: number | null }>('GET', `/api/events?${query}`)
    found.push(...(page.events as Seen[]))
    isMore = page.next !== null
    after = page.next ?? after
  }
  return found
}

/** Tunnels by host; services and providers need no entry. */
function summed(events: readonly Seen[]): SeenHost[] {
  const hosts = new Map<string, SeenHost>()
  for (const { type, data } of events) {
    // The port 0 stands for all hosts beyond those that were recorded one by one.
    if (data.port === 0 || (type === 'egress.allowed' && data.kind !== 'tunnel')) continue
    const host = entryFor(data satisfies Authority)
    const known = hosts.get(host) ?? { host, private: false, connections: 0, refused: 0, reason: null }
    if (type === 'egress.allowed') {
      known.connections += data.count
      known.private ||= data.is_private === true
    } else {
      Object.assign(known, { refused: known.refused + data.count, reason: data.reason })
      known.private ||= data.reason === 'egress_address_refused'
    }
    if (known.private) known.host = showAuthority(data)
    hosts.set(host, known)
  }
  return [...hosts.values()].sort((one, other) => other.connections - one.connections)
}

function yamlOf(hosts: readonly SeenHost[]): string[] {
  const list = (name: string, entries: readonly SeenHost[]) => {
    const isReached = entries.some(({ connections }) => connections > 0)
    return [`    ${name}:${isReached ? '' : ' []'}`, ...entries.map(lineOf)]
  }
  return [
    'agent:',
    '  egress:',
    ...list(
      'allow',
      hosts.filter((host) => !host.private),
    ),
    ...(hosts.some((host) => host.private)
      ? list(
          'private',
          hosts.filter((host) => host.private),
        )
      : []),
  ]
}

/** A refused host is a comment. */
const lineOf = ({ host, connections, refused, reason }: SeenHost): string =>
  connections > 0
    ? `      - ${quoted(host)} # ${times(connections)}`
    : `      # - ${quoted(host)} (refused ${times(refused)}: ${reason})`

const times = (count: number): string => (count === 1 ? 'once' : `${showCount(count)} times`)

const quoted = (host: string): string => (/^[a-z0-9.-]+$/.test(host) ? host : JSON.stringify(host))
