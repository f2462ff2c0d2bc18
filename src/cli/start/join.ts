/**
 * `start` while a server runs on the database: the agent is started there, with the environment and folder of this
 * terminal, and its events are printed here until it ends. Ctrl-C stops only this agent; when the terminal is killed, the
 * agent keeps running in its server.
 */

import { resolve } from 'node:path'
import { isLoopback } from '../../access/localhost.ts'
import { exitCodeOf } from '../../agents/exit-code.ts'
import type { FinalState } from '../../agents/restart-policy.ts'
import type { AgentSpec } from '../../agents/supervisor.ts'
import type { AgentStatus } from '../../api/agents.ts'
import type { ConfiguredBudgets } from '../../api/budgets.ts'
import type { LoadedConfig } from '../../config/config.ts'
import { CageError } from '../../core/errors.ts'
import type { EventOf, RuntimeEvent } from '../../core/events.ts'
import type { AgentId } from '../../core/ids.ts'
import { showUsd } from '../../core/money.ts'
import { readStore } from '../../db/store.ts'
import { applyEvent } from '../../state/apply-event.ts'
import { emptySnapshot } from '../../state/snapshot.ts'
import { connectToDatabase, dashboardLink } from '../client/client.ts'
import { tree } from '../output/print.ts'
import type { Terminal } from '../output/terminal.ts'
import { VERSION } from '../output/version.ts'
import { openBrowser } from './browser.ts'
import { endBlock, OTHER_CALLS } from './end-block.ts'
import { eventsOf } from './follow.ts'
import { type EventSource, listenForEnd, openLive } from './live.ts'
import { sharedEntries } from './shared-lines.ts'
import { describeSandbox, TARGETS } from './start-block.ts'

export interface JoiningAgent {
  loaded: LoadedConfig
  /** As it was typed. */
  script: string
  /** The same for the server; a script's path is absolute. */
  agent: Pick<AgentSpec, 'script' | 'kind'>
  /** The command line that started it. */
  command: string
  /** Open the dashboard in a browser. */
  open?: boolean | undefined
}

/** Throws the server's errors. Sets the terminal's exit code to the agent's. */
export async function joinServer(
  { loaded, script, agent, command, open }: JoiningAgent,
  terminal: Terminal,
): Promise<void> {
  const { config } = loaded
  const client = connectToDatabase(resolve(terminal.cwd, config.db.path))
  const end = listenForEnd(terminal)
  let show = (_event: RuntimeEvent): void => {}
  let snapshot = emptySnapshot()
  const state: EventSource['state'] = {
    read: () => snapshot,
    subscribe: (listener) => {
      show = (event) => {
        snapshot = applyEvent(snapshot, event)
        listener(event)
      }
      return () => {}
    },
  }
  const live = openLive({ config, state }, terminal, {
    onClosed: () => end.ask('the output was closed'),
  })
  try {
    const started = await client.send<AgentStatus>('POST', '/api/agents', startRequest(loaded, agent, terminal))
    const { id } = started.agent
    const link = await dashboardLink(client)
    const { shared } = await client.send<ConfiguredBudgets>('GET', '/api/budgets')
    live.begin(
      tree(`Iron Cage ${VERSION}, in the running server`, [
        [TARGETS[agent.kind ?? 'script'], script],
        ['Agent', id],
        ['Budget', `${showUsd(started.budget.limit_usd)} hard limit`],
        ...sharedEntries(shared),
        ['Sandbox', started.agent.sandbox && describeSandbox(started.agent.sandbox)],
        ['Dashboard', link],
      ]),
    )
    for (const note of withoutEffect(loaded, link)) terminal.err(note)
    if (open) openBrowser(link, terminal)
    // A server that ends stops the agent as well, so a failure is ignored.
    void end.asked.then(() => client.send('POST', `/api/agents/${id}/stop`)).catch(() => {})
    let exit: EventOf<'agent.exited'> | undefined
    let madeOtherCalls = false
    let exhausted: EventOf<'budget.exhausted'>['data'] | undefined
    for await (const event of eventsOf(client, id, true)) {
      show(event)
      if (event.type === 'agent.exited') exit = event
      madeOtherCalls ||= OTHER_CALLS.some((type) => type === event.type)
      if (event.type === 'budget.exhausted') exhausted = event.data
    }
    const last = isFinal(exit) ? exit : storedExit(resolve(terminal.cwd, config.db.path), id)
    terminal.exitCode = codeOf(last)
    const { state } = last.data
    // A server that has ended as well has no dashboard.
    const linkAfter = await dashboardLink(client).catch(() => null)
    const ended = await client.send<AgentStatus>('GET', `/api/agents/${id}`).catch(() => undefined)
    live.print(
      endBlock({
        ...{ agentId: id, loaded, state, agent: ended?.agent, madeOtherCalls, exhausted },
        ...{ dashboardLink: linkAfter, command },
      }),
    )
  } finally {
    await live.close()
    end.dispose()
  }
}

/** Flags that a running server has not been started with, in one sentence. */
function withoutEffect({ config: { server, db }, origins }: LoadedConfig, link: string): string[] {
  const { origin, hostname, port } = new URL(link)
  const isAsked = (key: string) => origins[`server.${key}`]?.startsWith('--')
  const flags = [
    // 0 is any port.
    ...(isAsked('port') && server.port !== 0 && String(server.port) !== port ? [`--port ${server.port}`] : []),
    ...(isAsked('host') && server.host !== hostname && !isLoopback(server.host) ? [`--host ${server.host}`] : []),
    ...(isAsked('allow_remote') ? ['--allow-remote'] : []),
  ]
  if (flags.length === 0) return []
  const verb = flags.length === 1 ? 'has' : 'have'
  return [
    `${flags.join(' and ')} ${verb} no effect: the agent runs in the server at ${origin}, which has ${db.path} already; stop that one first, or choose another --db`,
  ]
}

/** The server's input to start the agent as this terminal would, with absolute paths. */
export function startRequest(
  { config, origins }: LoadedConfig,
  spec: Omit<AgentSpec, 'descriptors'>,
  { env, cwd }: Terminal,
): object {
  const { budget, safety } = config
  const agent = { ...config.agent, ...spec }
  const isSet = (key: string) => (origins[key] ?? 'default') !== 'default'
  return {
    ...agent,
    cwd: resolve(cwd, agent.cwd ?? '.'),
    python: agent.python?.includes('/') ? resolve(cwd, agent.python) : agent.python,
    budget_usd: isSet('budget.limit_usd') ? budget.limit_usd : undefined,
    safety_mode: isSet('safety.mode') ? safety.mode : undefined,
    inherits: Object.fromEntries(
      Object.entries(env.variables).filter(([name]) => !name.startsWith('IRON_CAGE_MASTER_KEY')),
    ),
  }
}

const isFinal = (exit: EventOf<'agent.exited'> | undefined): exit is EventOf<'agent.exited'> =>
  exit !== undefined && exit.data.restart_in_ms === null

/** How it ended, from the database of a server that has ended as well. Throws CageError `server_unreachable`. */
function storedExit(database: string, agentId: AgentId): EventOf<'agent.exited'> {
  using file = readStore(database)
  const [last] = file.events.find({ agentId, type: 'agent.exited', limit: 1 })
  if (last?.type === 'agent.exited' && isFinal(last)) return last
  throw new CageError('server_unreachable', `the server exited before the exit status of ${agentId} was recorded`)
}

const codeOf = ({ data }: EventOf<'agent.exited'>): number =>
  exitCodeOf({
    state: data.state as FinalState,
    exitCode: data.exit_code,
    signal: data.signal as NodeJS.Signals | null,
  })
