import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { readServerFile } from '../../../access/server-file.ts'
import type { AgentStatus } from '../../../api/agents.ts'
import { AgentFolders } from '../../../config/agent-folders.ts'
import { CageError } from '../../../core/errors.ts'
import type { AgentId } from '../../../core/ids.ts'
import { writePlan } from '../../../deploy/plan.ts'
import { trustedEnvironment } from '../../../sandbox/trusted-program.ts'
import { type ApiClient, connectToDatabase } from '../../client/client.ts'
import { type CliCommand, command } from '../../command.ts'
import {
  type DeployFlags,
  type Prepared,
  prepareDeployment,
  programFile,
  requireTrusted,
  withStrategy,
} from '../../deploy/prepare-deployment.ts'
import { confirm } from '../../deploy/selector-agent.ts'
import { tree } from '../../output/print.ts'
import type { Terminal } from '../../output/terminal.ts'
import { eventsOf } from '../../start/follow.ts'
import { startRequest } from '../../start/join.ts'
import { reportOf, runAgent } from '../../start/run-agent.ts'
import { typedCommand } from '../../typed-command.ts'
import { planLines } from './plan.ts'

export const upCommand: CliCommand = (terminal, line) =>
  command({
    command: 'up <script>',
    describe: 'Deploy an agent: in the running server, or in one of its own until Ctrl-C',
    builder: (yargs) =>
      withStrategy(yargs)
        .option('yes', { type: 'boolean', describe: 'Write what a model has adapted without asking' })
        .example([
          ['$0 deploy up agent.py --budget 5', 'as the facts suggest'],
          ['$0 deploy up agent.py --strategy docker', 'in a container'],
          ['$0 deploy up agent.py --selector agent', 'as a model suggests, after you have seen its changes'],
        ]),
    handler: ({ script, ...flags }) => deployUp(script, flags, typedCommand(line), terminal),
  })

/** `command`: the command line that started it. Throws what `prepareDeployment` throws, and CageError `deployment_failed`. */
export async function deployUp(
  script: string,
  flags: DeployFlags & { yes?: boolean | undefined },
  command: string,
  terminal: Terminal,
): Promise<void> {
  const prepared = await prepareDeployment(script, flags, terminal)
  const { plan, loaded, agent } = prepared
  planLines(prepared, terminal.cwd).forEach(terminal.err)
  if (prepared.adapted && !flags.yes) await confirm(prepared.adapted, terminal)
  writePlan(plan, agent.folder, programFile)
  for (const [program = '', ...args] of plan.preparation) await runToItsEnd(program, args, terminal)
  // Whoever is in a cage already is limited, redacted and audited by that one.
  if (terminal.env.variables.IRON_CAGE_GATEWAY_URL) return runInThisCage(prepared, terminal)
  const database = resolve(terminal.cwd, loaded.config.db.path)
  if (await readServerFile(database)) return startInServer(prepared, connectToDatabase(database), terminal)
  await runAgent(
    {
      loaded,
      script,
      agent: prepared.spec,
      onStarted: ({ runtime, agentId, print }) => {
        void announce(prepared, agentId, runtime.supervisor.whenEnded(agentId)).then((lines) => lines && print(lines))
      },
      report: (runtime, agentId, serverStays) => {
        prepared.deployments.forget(prepared.name)
        return reportOf(runtime, agentId, { loaded, serverStays, command })
      },
    },
    terminal,
  )
}

/** Starts the agent in the running server, and waits until it can be called. */
async function startInServer(prepared: Prepared, client: ApiClient, terminal: Terminal): Promise<void> {
  const { agent } = await client.send<AgentStatus>(
    'POST',
    '/api/agents',
    startRequest(prepared.loaded, prepared.spec, terminal),
  )
  const ready = await announce(prepared, agent.id, lastEvent(client, agent.id))
  if (ready) return ready.forEach(terminal.out)
  prepared.deployments.forget(prepared.name)
  throw new CageError('deployment_failed', `${prepared.name} ended before it could be called`, {
    hint: `see what it wrote: iron-cage logs ${agent.id}`,
  })
}

async function lastEvent(client: ApiClient, id: AgentId): Promise<void> {
  for await (const _ of eventsOf(client, id, true));
}

/** Records the deployment. Resolves with what to print when it can be called, with undefined when `ended` resolves first. */
async function announce(
  { name, plan, agent, address, deployments }: Prepared,
  agentId: AgentId,
  ended: Promise<unknown>,
): Promise<string[] | undefined> {
  const run_interface = plan.strategy.runInterface
  deployments.save({
    ...{ name, strategy: plan.strategy.name, script: agent.script, agent_id: agentId, address, run_interface },
    started_at: new Date().toISOString(),
  })
  if (!(await deployments.whenHealthy({ address, run_interface }, ended))) return undefined
  return tree(`${name} can be called`, [
    ['Agent', agentId],
    ['Address', address + run_interface.call],
    ['Call', `iron-cage deploy call ${name} '{"question": "…"}'`],
    ['End', `iron-cage deploy down ${name}`],
  ])
}

/** Runs the agent as a process of this one, and ends as it ends. */
async function runInThisCage({ plan, spec }: Prepared, terminal: Terminal): Promise<void> {
  const [program = '', ...args] = plan.command
  const child = spawn(program, args, {
    cwd: spec.cwd,
    env: { ...terminal.env.variables, ...spec.env },
    stdio: 'inherit',
  })
  const pass = (signal: NodeJS.Signals) => child.kill(signal)
  process.on('SIGTERM', pass).on('SIGINT', pass)
  terminal.exitCode = (await exitOf(child, program)) ?? 1
}

/** A command that prepares the deployment. Throws CageError `deployment_failed`. */
async function runToItsEnd(named: string, args: readonly string[], { cwd, env }: Terminal): Promise<void> {
  const program = requireTrusted(named, { cwd, env })
  const { folders } = new AgentFolders(env.variables.HOME)
  // Its output is a message: the data of this command is its own.
  const child = spawn(program, args, { cwd, env: trustedEnvironment(env.variables, folders), stdio: ['ignore', 2, 2] })
  const code = await exitOf(child, program)
  if (code === 0) return
  throw new CageError('deployment_failed', `"${[named, ...args].join(' ')}" ended with ${code ?? 'a signal'}`, {
    hint: 'correct what it says above, and deploy again',
  })
}

async function exitOf(child: ChildProcess, program: string): Promise<number | null> {
  const [code] = (await once(child, 'exit').catch((cause: unknown) => {
    throw new CageError('deployment_failed', `${program} cannot be started`, { cause })
  })) as [number | null]
  return code
}
