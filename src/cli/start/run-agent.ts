/** What `start` and the demo share: a server with one agent, whose events are printed and whose exit code is returned. */

import { exitCodeOf } from '../../agents/exit-code.ts'
import type { AgentSpec } from '../../agents/supervisor.ts'
import { entryFor } from '../../config/authority.ts'
import type { LoadedConfig } from '../../config/config.ts'
import type { EventOf, RuntimeEvent } from '../../core/events.ts'
import type { AgentId } from '../../core/ids.ts'
import type { Load } from '../../redaction/reload.ts'
import type { RuntimeParts } from '../../runtime.ts'
import type { Terminal } from '../output/terminal.ts'
import { VERSION } from '../output/version.ts'
import { openBrowser } from './browser.ts'
import { type EndFacts, endBlock, OTHER_CALLS, type UnlistedHost } from './end-block.ts'
import { type EndRequest, listenForEnd, openLive } from './live.ts'
import { startBlock } from './start-block.ts'

export interface AgentShow {
  loaded: LoadedConfig
  /** Reads the configuration again. (Default: it is read once.) */
  reload?: Load | undefined
  /** As it was typed. */
  script: string
  /** The same for the server; a script's path is absolute. */
  agent: AgentSpec
  /** Keep the server running after the agent has ended. */
  keep?: boolean | undefined
  /** Open the dashboard in a browser. */
  open?: boolean | undefined
  /** Runs before the agent starts. (Default: nothing.) */
  prepare?: (runtime: RuntimeParts) => Promise<void>
  /** Opens the vault. (Default: the key that the environment names.) */
  masterKey?: string | undefined
  /** Which events are printed, among those that the log level lets through. (Default: all.) */
  shows?: (event: RuntimeEvent) => boolean
  /** Called when the agent runs. (Default: nothing.) */
  onStarted?: (started: StartedAgent) => void
  /** Printed when the agent has ended; `serverStays`: the server keeps running. */
  report: (runtime: RuntimeParts, agentId: AgentId, serverStays: boolean) => string[]
}

export interface StartedAgent {
  runtime: RuntimeParts
  agentId: AgentId
  end: EndRequest
  /** Prints lines among the events. */
  print: (lines: readonly string[]) => void
}

const ENDED = 'the agent has ended'

/** Throws what `openParts` and `Supervisor.start` throw. Sets the terminal's exit code to the agent's. */
export async function runAgent(show: AgentShow, terminal: Terminal): Promise<void> {
  const { loaded, script, agent } = show
  const end = listenForEnd(terminal)
  const { openParts } = await import('../../runtime.ts')
  const runtime = await openParts({
    config: loaded.config,
    origins: loaded.origins,
    configFile: loaded.file,
    reload: show.reload,
    environment: terminal.env.variables,
    ...(show.masterKey === undefined ? terminal.env.readMasterKey() : { masterKey: show.masterKey }),
    version: VERSION,
    // An agent with its own descriptors is started afresh.
    nextAgent: agent.descriptors ? undefined : agent,
  })
  if (show.reload) end.onReload = () => runtime.reload()
  terminal.log = runtime.log
  const live = openLive(runtime, terminal, { onClosed: () => end.ask('the output was closed'), shows: show.shows })
  let reason = 'could not start the agent'
  try {
    await show.prepare?.(runtime)
    const { supervisor } = runtime
    const { agentId, cage } = await supervisor.start(agent)
    const dashboardLink = runtime.dashboardLink()
    const keys = { vault: runtime.vault, variables: terminal.env.variables }
    const limits = runtime.state.read()
    const view = limits.agents[agentId]?.sandbox
    const sandbox = view ? { view, writes: cage.writes, closed: cage.closed } : undefined
    const logPath = runtime.log.path
    const shared = await runtime.sharedBudget()
    const { kind } = agent
    live.begin(startBlock(loaded, { script, kind, agentId, dashboardLink, logPath, keys, limits, shared, sandbox }))
    if (show.open) openBrowser(dashboardLink, terminal)
    show.onStarted?.({ runtime, agentId, end, print: (lines) => live.print(lines) })

    reason = ENDED
    const ended = supervisor.whenEnded(agentId)
    const asked = end.asked.then((why) => {
      reason = why
    })
    const done = ended.then(() => {
      const serverStays = reason === ENDED && (show.keep === true || supervisor.hasLive)
      live.print(show.report(runtime, agentId, serverStays))
      // Agents that other terminals have started in this server go on.
      return supervisor.whenAllEnded()
    })
    await Promise.race([asked, done])
    if (show.keep) await asked
    await supervisor.stop(agentId, 'operator')
    terminal.exitCode = exitCodeOf(await ended)
  } finally {
    await runtime.close(reason)
    await live.close()
    end.dispose()
  }
}

function egressOf({ state }: RuntimeParts, agentId: AgentId): EndFacts['egress'] {
  const counts = new Map<string, UnlistedHost & { count: number }>()
  const refused = new Set<string>()
  for (const type of ['egress.allowed', 'egress.denied'] as const) {
    for (const { type: seen, data } of state.findEvents({ type, agentId, limit: 1_000 }) as EgressEvent[]) {
      const host = entryFor(data)
      if (data.port === 0) continue
      if (seen === 'egress.denied') refused.add(host)
      else if (!data.is_listed) {
        const known = counts.get(host) ?? { host, isPrivate: data.is_private === true, count: 0 }
        counts.set(host, { ...known, count: known.count + data.count })
      }
    }
  }
  const unlisted = [...counts.values()].sort((one, other) => other.count - one.count)
  return { unlisted, refused: [...refused].reverse() }
}

type EgressEvent = EventOf<'egress.allowed'> | EventOf<'egress.denied'>

/** The end block of an agent in this process's server. `command`: the command line that started it. */
export function reportOf(
  runtime: RuntimeParts,
  agentId: AgentId,
  { loaded, serverStays, command }: { loaded: LoadedConfig; serverStays: boolean; command: string },
): string[] {
  const [last] = runtime.state.findEvents({ type: 'budget.exhausted', agentId, limit: 1 })
  const agent = runtime.state.read().agents[agentId]
  return endBlock({
    agentId,
    egress: egressOf(runtime, agentId),
    loaded,
    command,
    state: agent?.state,
    agent,
    madeOtherCalls: [...OTHER_CALLS, 'egress.allowed' as const].some(
      (type) => runtime.state.findEvents({ type, agentId, limit: 1 }).length > 0,
    ),
    exhausted: last?.type === 'budget.exhausted' ? last.data : undefined,
    dashboardLink: serverStays ? runtime.dashboardLink() : null,
  })
}
