/**
 * Budgets and the ledger below them. Each command is sent to the server, or done on the file when none serves
 * it: when a server does not start any more, its money must still be looked at and put right.
 */
import type { Argv } from 'yargs'
import { check } from '../api/body.ts'
import {
  type Amounts,
  amountsOf,
  type Budgets,
  budgetsOf,
  type ConfiguredBudgets,
  configuredBudgets,
  newLimit,
} from '../api/budgets.ts'
import { CALLS, type ShownCall, shownCall } from '../api/calls.ts'
import { parseTypedAmount } from '../config/amount.ts'
import type { Config } from '../config/schema.ts'
import { CageError } from '../errors.ts'
import { type ConfiguredScope, fromUsd, type Nanodollars, showUsd, type Usd } from '../money.ts'
import { forLogs, policyOf } from '../redaction/policy.ts'
import { Redactor } from '../redaction/redactor.ts'
import { AGENT_HELP, agentIdOf, findAgentId } from './agent-id.ts'
import { type AgentStatus, type Client, type ClientFlags, connect } from './client.ts'
import { loadFlags, withDatabaseFlags } from './flags.ts'
import { json, table } from './print.ts'
import { isUnserved, type Stored, withStored } from './stored.ts'
import type { Command, Terminal } from './terminal.ts'

export const budgetCommand: Command = (yargs, terminal) =>
  yargs.command('budget', 'Look at a budget or change it; also without a running server', (budget) =>
    budget
      .command(
        'get [id]',
        "Show limit and spending of an agent, or the whole server's and each run's",
        (command) =>
          withDatabaseFlags(command)
            .positional('id', {
              type: 'string',
              describe: `${AGENT_HELP} (default: what holds beside the agents' own)`,
            })
            .option('json', { type: 'boolean', describe: 'Write JSON' })
            .example('$0 budget get lg-7a3f9c2d --json', 'for a script'),
        async ({ id, json: asJson, ...flags }) => {
          if (id !== undefined) return show(await perform(flags, terminal, id), asJson, terminal)
          showConfigured(await performConfigured(flags, terminal), asJson, terminal)
        },
      )
      .command(
        'set [id] [usd]',
        'Set a new limit',
        (command) =>
          withLimit(command)
            .example('$0 budget set lg-7a3f9c2d 75', '$75.00 from now on')
            .example('$0 budget set --server 100', '$100.00 for all agents together'),
        ({ json: asJson, ...flags }) =>
          changeLimit(flags, terminal, asJson, (typed) => ({ limit_usd: parseTypedAmount(typed, 'the new limit') })),
      )
      .command(
        'add [id] [usd]',
        'Raise the limit',
        (command) =>
          withLimit(command)
            .example('$0 budget add lg-7a3f9c2d 25', '$25.00 more')
            .example('$0 budget add --server 25', '$25.00 more for all agents together'),
        ({ json: asJson, ...flags }) =>
          changeLimit(flags, terminal, asJson, (typed) => ({ add_usd: parseTypedAmount(typed, 'the increase') })),
      )
      .command(
        'calls <id>',
        'List rows of the ledger, newest first',
        (command) =>
          withAgent(command)
            .option('state', { type: 'string', requiresArg: true, describe: 'held, charged, released or unresolved' })
            .option('kind', { type: 'string', requiresArg: true, describe: 'llm, service, reported or correction' })
            .option('from', { type: 'string', requiresArg: true, describe: 'Begun at this time or later: 2026-01-02' })
            .option('to', { type: 'string', requiresArg: true, describe: 'Begun before this time' })
            .option('limit', { type: 'string', requiresArg: true, describe: 'How many at most (default: 100)' })
            .example('$0 budget calls lg-7a3f9c2d --state unresolved', 'what a killed server left open'),
        async ({ id, json: asJson, state, kind, from, to, limit, ...flags }) =>
          showCalls(await listCalls(flags, terminal, id, { state, kind, from, to, limit }), asJson, terminal),
      )
      .command(
        'correct <id> <call> <usd>',
        'Say what a call costs after all; the difference becomes a row of its own',
        (command) =>
          withAmount(withCall(withAgent(command)))
            .option('reason', { type: 'string', demandOption: true, requiresArg: true, describe: 'Why' })
            .example(
              '$0 budget correct lg-7a3f9c2d call-19aa 0.12 --reason "invoice of May"',
              '$0.12, not what was charged',
            ),
        async ({ id, call, usd, reason, json: asJson, ...flags }) => {
          const cost = parseCost(usd, 'the right cost')
          show(await perform(flags, terminal, id, corrected(call, cost, reason)), asJson, terminal)
        },
      )
      .command(
        'charge <id> <call> [usd]',
        'Charge a call that a killed server left open: what it cost, or all that is held',
        (command) =>
          withCall(withAgent(command))
            .positional('usd', { type: 'string', describe: 'US dollars (default: what is held)' })
            .example('$0 budget charge lg-7a3f9c2d call-19aa', 'all that is held for it'),
        async ({ id, call, usd, json: asJson, ...flags }) => {
          const cost = usd === undefined ? undefined : parseCost(usd, 'the cost')
          show(await perform(flags, terminal, id, resolved(call, cost)), asJson, terminal)
        },
      )
      .command(
        'release <id> <call>',
        'Release a call that a killed server left open: it cost nothing',
        (command) => withCall(withAgent(command)).example('$0 budget release lg-7a3f9c2d call-19aa', 'never sent'),
        async ({ id, call, json: asJson, ...flags }) =>
          show(await perform(flags, terminal, id, resolved(call, null)), asJson, terminal),
      )
      .demandCommand(1, 'budget needs one of: get, set, add, calls, correct, charge, release'),
  )

const withAgent = (command: Argv) =>
  withDatabaseFlags(command)
    .positional('id', { type: 'string', demandOption: true, describe: AGENT_HELP })
    .option('json', { type: 'boolean', describe: 'Write JSON' })

const AMOUNT_HELP = "US dollars: 25, 25.00 or '$25'"

const withAmount = <T>(command: Argv<T>) =>
  command.positional('usd', { type: 'string', demandOption: true, describe: AMOUNT_HELP })

/** Of an agent, by words; of the server or of each run, by a flag. */
const withLimit = (command: Argv) =>
  withDatabaseFlags(command)
    .positional('id', { type: 'string', describe: AGENT_HELP })
    .positional('usd', { type: 'string', describe: AMOUNT_HELP })
    .option('server', { type: 'string', requiresArg: true, describe: 'The limit of all agents together' })
    .option('run', { type: 'string', requiresArg: true, describe: 'The limit of each run' })
    .option('json', { type: 'boolean', describe: 'Write JSON' })

interface LimitFlags extends ClientFlags {
  id?: string | undefined
  usd?: string | undefined
  server?: string | undefined
  run?: string | undefined
}

/** Throws CageError `usage` unless just one budget is meant. */
async function changeLimit(
  { id, usd, server, run, ...flags }: LimitFlags,
  terminal: Terminal,
  asJson: boolean | undefined,
  changeOf: (typed: string) => LimitChange,
): Promise<void> {
  const meant = [id, server, run].filter((word) => word !== undefined)
  if (meant.length !== 1 || (id === undefined) !== (usd === undefined)) {
    throw new CageError('usage', 'one budget is changed: <id> <usd>, --server <usd> or --run <usd>')
  }
  if (id !== undefined) return show(await perform(flags, terminal, id, changed(changeOf(usd!))), asJson, terminal)
  const scope = server === undefined ? 'run' : 'server'
  const change = changeOf(meant[0]!)
  showConfigured(await performConfigured(flags, terminal, { scope, change }), asJson, terminal)
}

const withCall = <T>(command: Argv<T>) =>
  command.positional('call', { type: 'string', demandOption: true, describe: 'The call, as "budget calls" lists it' })

/** A cost may be nothing, but then it is written out: a bare 0 is what a shell makes of an unquoted $0.12. */
const parseCost = (text: string, where: string): Usd => (text === '0.00' ? '0' : parseTypedAmount(text, where))

interface Balance extends Amounts {
  agent_id: string
  budgets: Budgets
}

type LimitChange = { limit_usd: Usd } | { add_usd: Usd }

/** One change, for the server and for the file. */
interface Wish {
  method: 'POST' | 'PATCH'
  /** Below the agent. */
  path: string
  body: object
  perform: (stored: Stored, agentId: string, redactor: Redactor) => void
}

const BY = 'command line'

/** The same work in two ways: on the file when no server serves it, else through the server. */
async function atServerOrFile<T>(
  flags: ClientFlags,
  terminal: Terminal,
  work: { file: (stored: Stored, config: Config) => T | Promise<T>; server: (client: Client) => Promise<T> },
): Promise<T> {
  const { config } = loadFlags(flags, terminal)
  if (terminal.env.serverUrl === undefined && (await isUnserved(config))) {
    return withStored(config, (stored) => work.file(stored, config))
  }
  return work.server(connect(flags, terminal))
}

const changed = (change: LimitChange): Wish => ({
  method: 'PATCH',
  path: '/budget',
  body: change,
  perform: ({ ledger: { accounts } }, id) => accounts.setLimit(id, limitAfter(accounts.balance(id).limit, change), BY),
})

const limitAfter = (present: Nanodollars, change: LimitChange): Nanodollars =>
  newLimit(
    present,
    'limit_usd' in change ? { limit_usd: fromUsd(change.limit_usd) } : { add_usd: fromUsd(change.add_usd) },
  )

/** The budgets that are no agent's own, after the change if there is one. */
async function performConfigured(
  flags: ClientFlags,
  terminal: Terminal,
  wish?: { scope: ConfiguredScope; change: LimitChange },
): Promise<ConfiguredBudgets> {
  return atServerOrFile(flags, terminal, {
    file: ({ ledger: { accounts } }) => {
      if (wish) {
        const { scope, change } = wish
        accounts.setConfiguredLimit(scope, limitAfter(accounts.configuredLimit(scope), change), BY)
      }
      return configuredBudgets(accounts)
    },
    server: (client) =>
      wish ? client.send('PATCH', `/api/budgets/${wish.scope}`, wish.change) : client.send('GET', '/api/budgets'),
  })
}

const corrected = (callId: string, cost: Usd, reason: string): Wish => ({
  method: 'POST',
  path: `/calls/${encodeURIComponent(callId)}/correct`,
  body: { cost_usd: cost, reason },
  perform: ({ ledger }, agentId, redactor) =>
    void ledger.correct({ agentId, callId, cost: fromUsd(cost), reason: redactor.clean(reason), by: BY }),
})

/** `cost`: null releases the call, undefined charges what is held. */
const resolved = (callId: string, cost: Usd | null | undefined): Wish => ({
  method: 'POST',
  path: `/calls/${encodeURIComponent(callId)}/resolve`,
  body: cost === null ? { outcome: 'released' } : { outcome: 'charged', cost_usd: cost },
  perform: ({ ledger }, agentId) =>
    ledger.resolve({ agentId, callId, cost: typeof cost === 'string' ? fromUsd(cost) : cost, by: BY }),
})

/** The balance after the change; without a change, as it is. */
async function perform(flags: ClientFlags, terminal: Terminal, named: string, wish?: Wish): Promise<Balance> {
  return atServerOrFile(flags, terminal, {
    file: (stored, { safety }) => {
      const { accounts } = stored.ledger
      const id = storedId(stored, named)
      wish?.perform(stored, id, new Redactor(forLogs(policyOf(safety))))
      return {
        agent_id: id,
        ...amountsOf(accounts.balance(id)),
        budgets: budgetsOf(accounts, { agentId: id, runId: null }),
      }
    },
    server: async (client) => {
      const path = `/api/agents/${encodeURIComponent(await agentIdOf(client, named))}`
      const { agent, budget, budgets } = wish
        ? await client.send<AgentStatus>(wish.method, path + wish.path, wish.body)
        : await client.send<AgentStatus>('GET', `${path}/status`)
      const { limit_usd, spent_usd, held_usd, remaining_usd } = budget
      return { agent_id: agent.id, limit_usd, spent_usd, held_usd, remaining_usd, budgets }
    },
  })
}

function show(balance: Balance, asJson: boolean | undefined, terminal: Terminal): void {
  if (asJson) return terminal.out(json(balance))
  const { agent_id, budgets } = balance
  for (const { scope, ...amounts } of budgets) terminal.out(line(scope === 'agent' ? agent_id : scope, amounts))
}

function showConfigured(budgets: ConfiguredBudgets, asJson: boolean | undefined, terminal: Terminal): void {
  if (asJson) return terminal.out(json(budgets))
  const { server, run } = budgets
  if (server) terminal.out(line('server', server))
  if (run) terminal.out(`each run  ${showUsd(run.limit_usd)}`)
  if (!server && !run) terminal.err("there are no budgets but the agents' own")
}

function line(whose: string, { limit_usd, spent_usd, held_usd, remaining_usd }: Amounts): string {
  const held = held_usd === '0' ? '' : `, ${showUsd(held_usd)} held`
  return `${whose}  ${showUsd(spent_usd)} / ${showUsd(limit_usd)}${held}, ${showUsd(remaining_usd)} left`
}

function storedId({ state }: Stored, named: string): string {
  const present = Object.values(state.read().agents)
  const id = findAgentId(present, named)
  if (present.some((agent) => agent.id === id)) return id
  return findAgentId(state.pastAgents.list({ named, limit: 1_000 }), named)
}

type Filter = { [name in 'state' | 'kind' | 'from' | 'to' | 'limit']: string | undefined }

async function listCalls(flags: ClientFlags, terminal: Terminal, named: string, filter: Filter): Promise<ShownCall[]> {
  const query = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)) as Record<
    string,
    string
  >
  return atServerOrFile(flags, terminal, {
    file: async (stored) => {
      const id = storedId(stored, named)
      stored.ledger.accounts.balance(id)
      return (await stored.calls.find({ agentId: id, ...check(CALLS, query, 'the query') })).map(shownCall)
    },
    server: async (client) => {
      const id = encodeURIComponent(await agentIdOf(client, named))
      const path = `/api/agents/${id}/calls?${new URLSearchParams(query)}`
      return (await client.send<{ calls: ShownCall[] }>('GET', path)).calls
    },
  })
}

function showCalls(calls: readonly ShownCall[], asJson: boolean | undefined, terminal: Terminal): void {
  if (asJson) return terminal.out(json(calls))
  if (calls.length === 0) return terminal.err('no row of the ledger is like that')
  const rows = calls.map(
    ({ id, started_at, state, kind, target, model, cost_usd, held_usd, code, corrects, reason }) => [
      id,
      started_at,
      kind === 'correction' ? kind : state,
      model ?? target,
      state === 'charged' || state === 'released' ? `$${cost_usd}` : `$${held_usd} held`,
      corrects ? `of ${corrects}: ${reason}` : (code ?? ''),
    ],
  )
  table(rows).forEach(terminal.out)
}
