import type { AgentStatus } from '../../../api/agents.ts'
import type { ClientFlags } from '../../client/client.ts'
import { withClient } from '../../client/offline-client.ts'
import { pathSegment } from '../../client/path-segment.ts'
import type { Terminal } from '../../output/terminal.ts'
import { agentPath, showBalance } from './balance.ts'

/** Ends a call that a killed server left open: `budget charge` and `budget release`. `resolution`: the request's body. */
export async function resolveCall(
  { named, call, resolution }: { named: string; call: string; resolution: object },
  { json: asJson, ...flags }: ClientFlags & { json?: boolean },
  terminal: Terminal,
): Promise<void> {
  const status = await withClient(flags, terminal, async (client) => {
    const path = `${await agentPath(client, named)}/calls/${pathSegment(call)}/resolve`
    return client.send<AgentStatus>('POST', path, resolution)
  })
  showBalance(status, asJson, terminal)
}
