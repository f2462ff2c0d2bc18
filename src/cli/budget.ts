import { existsSync } from 'node:fs'
import type { Argv } from 'yargs'
import { readServerFile, takeDatabase } from '../access/server-file.ts'
import { Audit } from '../audit/chain.ts'
import { Ledger } from '../budget/ledger.ts'
import { systemClock } from '../clock.ts'
import { parseTypedAmount } from '../config/amount.ts'
import type { Config } from '../config/schema.ts'
import { openDatabase } from '../db/database.ts'
import { CageError } from '../errors.ts'
import { newToken } from '../ids.ts'
import { addUsd, fromUsd, showUsd, toUsd, type Usd } from '../money.ts'
import { StateManager } from '../state/state-manager.ts'
import { type AgentStatus, type ClientFlags, connect } from './client.ts'
import { loadFlags, withDatabaseFlags } from './flags.ts'
import { json } from './print.ts'
import type { Command, Terminal } from './terminal.ts'

export const budgetCommand: Command = (yargs, terminal) =>
  yargs.command('budget', "Look at an agent's budget or change it; also without a running server", (budget) =>
    budget
      .command(
        'get <id>',
        'Show limit and spending',
        (command) => withAgent(command).example('$0 budget get lg-7a3f9c2d --json', 'for a script'),
        async ({ id, json: asJson, ...flags }) => show(await change(flags, terminal, id), asJson, terminal),
      )
      .command(
        'set <id> <usd>',
        'Set a new limit',
        (command) => withAmount(withAgent(command)).example('$0 budget set lg-7a3f9c2d 75', '$75.00 from now on'),
        async ({ id, usd, json: asJson, ...flags }) => {
          const limit = parseTypedAmount(usd, 'the new limit')
          show(await change(flags, terminal, id, { limit_usd: limit }), asJson, terminal)
        },
      )
      .command(
        'add <id> <usd>',
        'Raise the limit',
        (command) => withAmount(withAgent(command)).example('$0 budget add lg-7a3f9c2d 25', '$25.00 more'),
        async ({ id, usd, json: asJson, ...flags }) => {
          const more = parseTypedAmount(usd, 'the increase')
          show(await change(flags, terminal, id, { add_usd: more }), asJson, terminal)
        },
      )
      .demandCommand(1, 'budget needs one of: get, set, add'),
  )

const withAgent = (command: Argv) =>
  withDatabaseFlags(command)
    .positional('id', { type: 'string', demandOption: true, describe: 'The agent, as "ps" lists it' })
    .option('json', { type: 'boolean', describe: 'Write JSON' })

const withAmount = <T>(command: Argv<T>) =>
  command.positional('usd', { type: 'string', demandOption: true, describe: "US dollars: 25, 25.00 or '$25'" })

interface Balance {
  agent_id: string
  limit_usd: Usd
  spent_usd: Usd
  held_usd: Usd
  remaining_usd: Usd
}

type Change = { limit_usd: Usd } | { add_usd: Usd }

function show(balance: Balance, asJson: boolean | undefined, terminal: Terminal): void {
  const { agent_id, limit_usd, spent_usd, remaining_usd } = balance
  terminal.out(
    asJson
      ? json(balance)
      : `${agent_id}  ${showUsd(spent_usd)} / ${showUsd(limit_usd)}, ${showUsd(remaining_usd)} left`,
  )
}

/** The balance after the change; without a change, as it is. Asks the server, or the file when none serves it. */
async function change(flags: ClientFlags, terminal: Terminal, id: string, wanted?: Change): Promise<Balance> {
  const { config } = loadFlags(flags, terminal)
  const { path: database } = config.db
  if (terminal.env.serverUrl === undefined && existsSync(database) && !(await readServerFile(database))) {
    return changeStored(config, id, wanted)
  }
  const client = connect(flags, terminal)
  const path = `/api/agents/${encodeURIComponent(id)}`
  const { agent, budget } = wanted
    ? await client.send<AgentStatus>('PATCH', `${path}/budget`, wanted)
    : await client.send<AgentStatus>('GET', `${path}/status`)
  const { limit_usd, spent_usd, held_usd, remaining_usd } = budget
  return { agent_id: agent.id, limit_usd, spent_usd, held_usd, remaining_usd }
}

/** Takes the database like a server would, so that none can start meanwhile. */
async function changeStored(config: Config, id: string, wanted: Change | undefined): Promise<Balance> {
  const { path } = config.db
  const taken = await takeDatabase(path, newToken('ic'))
  try {
    const database = openDatabase({ path })
    const faults: unknown[] = []
    const onFault = (error: unknown) => faults.push(error)
    const state = new StateManager({ database, clock: systemClock, retentionDays: config.log.retention_days, onFault })
    const audit = new Audit({ database, state, clock: systemClock, onFault, onBroken: onFault })
    try {
      const ledger = new Ledger({ database, state, clock: systemClock, warnAt: [1] })
      const { limit } = ledger.balance(id)
      if (wanted) {
        const next = 'limit_usd' in wanted ? wanted.limit_usd : addUsd(toUsd(limit), wanted.add_usd)
        ledger.setLimit(id, fromUsd(next), 'command line')
        if (faults.length > 0) {
          throw new CageError('database_unusable', `cannot write to ${path}`, { cause: faults[0], facts: { path } })
        }
      }
      const now = ledger.balance(id)
      return {
        agent_id: id,
        limit_usd: toUsd(now.limit),
        spent_usd: toUsd(now.spent),
        held_usd: toUsd(now.held),
        remaining_usd: toUsd(Math.max(0, now.limit - now.spent - now.held)),
      }
    } finally {
      audit.close()
      state.close()
      database.close()
    }
  } finally {
    taken.release()
  }
}
