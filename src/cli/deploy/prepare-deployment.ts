/** What `deploy plan` and `deploy up` share: the facts, the choice, and the plan. */
import { existsSync, statSync } from 'node:fs'
import { basename, dirname, extname, join, resolve } from 'node:path'
import type { Argv } from 'yargs'
import { findPython } from '../../agents/command.ts'
import { serverFilesOf } from '../../agents/server-files.ts'
import type { AgentSpec } from '../../agents/supervisor.ts'
import { AgentFolders } from '../../config/agent-folders.ts'
import type { LoadedConfig } from '../../config/config.ts'
import type { Config } from '../../config/schema.ts'
import { CageError } from '../../core/errors.ts'
import { isSingleExecutable, packageFolder } from '../../core/package-folder.ts'
import { readStore } from '../../db/store.ts'
import { isChoosable, type Judgment, judge, obstacles } from '../../deploy/choice.ts'
import { type AgentFacts, readAgentFacts } from '../../deploy/facts.ts'
import { type Plan, planDeployment } from '../../deploy/plan.ts'
import { requireStrategy, type Strategies } from '../../deploy/strategies.ts'
import { BUILT_IN, gatewayVariables, knownProvider } from '../../dialects/known-providers.ts'
import { ask } from '../../sandbox/ask.ts'
import { findTrusted, trustedPath } from '../../sandbox/trusted-program.ts'
import type { Terminal } from '../output/terminal.ts'
import { type AgentFlags, withAgent } from '../settings/flags.ts'
import { loadServerFlags } from '../settings/server-flags.ts'
import { Deployments, freePort } from './deployments.ts'
import { type Adapted, adaptWithModel } from './selector-agent.ts'
import { loadStrategies, requireUntouched } from './strategies.ts'

export interface DeployFlags extends AgentFlags {
  strategy: string
  callPort?: string | undefined
  /** (Default: facts.) */
  selector?: 'facts' | 'agent' | undefined
  selectorModel?: string | undefined
  selectorBudget?: string | undefined
}

/** For the commands that plan a deployment. */
export const withStrategy = <Flags>(yargs: Argv<Flags>) =>
  withAgent(yargs)
    .positional('script', { type: 'string', demandOption: true, describe: 'Python script of the agent' })
    .option('strategy', {
      type: 'string',
      requiresArg: true,
      default: 'auto',
      describe: 'How it is deployed: auto, or one that "iron-cage strategies list" lists',
    })
    .option('call-port', {
      type: 'string',
      requiresArg: true,
      describe: 'Port on which it answers calls (default: a free one)',
    })
    .option('selector', {
      requiresArg: true,
      choices: ['facts', 'agent'] as const,
      default: 'facts' as const,
      describe: 'Who chooses the strategy and adapts its files: facts, or a model (agent)',
    })
    .option('selector-model', {
      type: 'string',
      requiresArg: true,
      default: 'openai/gpt-4o-mini',
      describe: 'Provider and model that --selector agent asks',
    })
    .option('selector-budget', {
      type: 'string',
      requiresArg: true,
      default: '0.10',
      describe: 'Hard limit of what it asks, in US dollars',
    })

export interface Prepared {
  loaded: LoadedConfig
  /** Of the deployment: the agent's name, as folders and containers can be called. */
  name: string
  agent: AgentFacts
  /** The best first. */
  judgments: readonly Judgment[]
  chosen: Judgment
  plan: Plan
  address: string
  spec: AgentSpec
  deployments: Deployments
  /** A model's choice and changes. (Default: none was asked.) */
  adapted?: Adapted | undefined
}

/** The facts before a strategy is chosen. */
interface Found extends Pick<Prepared, 'loaded' | 'agent' | 'judgments'> {
  python: string
}

/**
 * Throws what `loadFlags`, `loadStrategies`, `planDeployment` and `adaptWithModel` throw, and CageError `script_not_found`,
 * `bad_request`.
 */
export async function prepareDeployment(typed: string, flags: DeployFlags, terminal: Terminal): Promise<Prepared> {
  const script = resolve(terminal.cwd, typed)
  if (!statSync(script, { throwIfNoEntry: false })?.isFile()) {
    throw new CageError('script_not_found', `${typed} is not a file`, { facts: { path: script } })
  }
  const loaded = loadServerFlags(flags, terminal, { scriptDir: dirname(script) })
  const { config } = loaded
  const { variables } = terminal.env
  const agent = readAgentFacts(script)
  const python = findPython({
    ...{ target: { kind: 'script', name: typed, path: script }, args: [], cwd: agent.folder },
    ...{ python: config.agent.python, environment: variables },
  })
  const strategies = loadStrategies(flags, terminal)
  const judgments = judge(strategies.usable, agent, {
    variables,
    hasModule: (module) => hasModule(module, { python, config, cwd: agent.folder, environment: variables }),
  })
  const found: Found = { loaded, agent, judgments, python }
  const named = flags.strategy === 'auto' ? undefined : choose(judgments, flags.strategy, strategies)
  const planWith = (chosen: Judgment) => plannedWith(chosen, found, flags, terminal)
  if (flags.selector === 'agent') {
    const { selectorModel: model = '', selectorBudget: budget = '' } = flags
    return adaptWithModel({ ...found, named, planWith }, { model, budget }, terminal)
  }
  return planWith(named ?? choose(judgments, 'auto', strategies))
}

async function plannedWith(
  chosen: Judgment,
  { loaded, agent, judgments, python }: Found,
  flags: DeployFlags,
  terminal: Terminal,
): Promise<Prepared> {
  const { config } = loaded
  const { variables } = terminal.env
  const { script } = agent
  requireUntouched(chosen.strategy.folder, terminal)
  const name = deploymentName(config.agent.name ?? basename(script, extname(script)))
  const database = resolve(terminal.cwd, config.db.path)
  const deployments = new Deployments(database)
  const port = flags.callPort ?? String(await freePort())
  const { masterKeyFile } = terminal.env.readMasterKey()
  const { folders } = new AgentFolders(variables.HOME)
  const serverFiles = serverFilesOf({ config, configFile: loaded.file, masterKeyFile })
  const values = {
    ...{ name, script, python, port },
    file: basename(script),
    source: agent.folder,
    callable: agent.callable ?? '',
    folder: deployments.folderOf(name),
    sdk: join(packageFolder(), 'python/iron_cage/deployment'),
    container: findTrusted('podman', variables, folders) ?? findTrusted('docker', variables, folders) ?? 'podman',
    budget: String(config.budget.limit_usd),
    gpu: agent.needsGpu ? 'T4' : '',
    env: variableNames(config, database)
      .flatMap((variable) => ['--env', variable])
      .join(' '),
  }
  const plan = planDeployment(chosen.strategy, agent, values, serverFiles)
  const address = `http://127.0.0.1:${port}`
  return {
    ...{ loaded, name, agent, judgments, chosen, plan, deployments, address },
    spec: specOf(plan, agent, loaded, name, terminal),
  }
}

/** `asked`: a name, or "auto". Throws CageError `not_found`, `invalid_strategy`, or `bad_request` when it is impossible here. */
function choose(judgments: readonly Judgment[], asked: string, strategies: Strategies): Judgment {
  if (asked === 'auto') {
    const best = judgments.find(isChoosable)
    if (best) return best
    throw impossible('any strategy', judgments)
  }
  const named = requireStrategy(strategies, asked)
  const judgment = judgments.find(({ strategy }) => strategy === named)!
  if (judgment.missing.length > 0) throw impossible(asked, [judgment])
  return judgment
}

/** The agent that the supervisor runs. */
function specOf(
  { strategy, command, folder }: Plan,
  agent: AgentFacts,
  { config }: LoadedConfig,
  name: string,
  terminal: Terminal,
): AgentSpec {
  const [named = '', ...args] = command
  // The client of a container runtime sets up a sandbox itself, which ours would not permit.
  const isOutside = strategy.runInterface.sandbox === 'container'
  const program = isOutside ? requireTrusted(named, terminal) : named
  const { sandbox, env, provider_keys } = config.agent
  return {
    script: program,
    kind: 'command',
    deployment: { strategy: strategy.name, script: agent.script },
    name,
    args,
    cwd: agent.folder,
    env: { ...env, IRON_CAGE_DEPLOY_SCRIPT: agent.script, IRON_CAGE_DEPLOY_CALLABLE: agent.callable ?? '' },
    provider_keys: strategy.runInterface.provider_keys ?? provider_keys,
    sandbox: {
      ...sandbox,
      read: [...sandbox.read, agent.script, folder],
      ...(isOutside ? { level: 'off' as const } : {}),
    },
  }
}

/** The variables that an agent in a container needs: the gateway's address, its identity, and the user's variables. */
function variableNames({ agent, providers }: Config, database: string): string[] {
  const names = [...new Set([...BUILT_IN, ...Object.keys(providers)])]
  return [
    ...['IRON_CAGE_GATEWAY_URL', 'IRON_CAGE_URL', 'IRON_CAGE_AGENT_ID', 'IRON_CAGE_TOKEN'],
    ...Object.keys(gatewayVariables('', names)),
    ...names.flatMap((name) => knownProvider(name)?.keyVariables ?? []),
    ...Object.keys(agent.env),
    ...secretNames(agent.environment, database),
  ]
}

/** The names of the secrets that the agent gets; none when there is no database yet. */
function secretNames(environment: string, database: string): string[] {
  if (!existsSync(database)) return []
  using store = readStore(database)
  return store.secrets
    .all()
    .filter((row) => row.environment === environment && row.deleted_at === null)
    .map(({ name }) => name)
}

const deploymentName = (name: string): string =>
  name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '') || 'agent'

function hasModule(module: string, { python, config, cwd, environment }: InterpreterPlace): boolean {
  const code = 'import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)'
  const { folders: agentFolders } = new AgentFolders(environment.HOME)
  const args = ['-c', code, module]
  return ask({ settings: config.agent.sandbox, program: python, args, cwd, environment, agentFolders }) !== undefined
}

interface InterpreterPlace {
  python: string
  config: Config
  cwd: string
  environment: Readonly<Record<string, string>>
}

function impossible(asked: string, judgments: readonly Judgment[]): CageError {
  const lines = judgments.map((judgment) => `${judgment.strategy.name}: ${obstacles(judgment).join('; ')}`)
  return new CageError('bad_request', [`this agent cannot be deployed with ${asked} here`, ...lines].join('\n'), {
    hint: 'install what is missing, or choose another strategy: iron-cage strategies list',
  })
}

/** The path of a program that runs without a sandbox. Throws CageError `deployment_failed` for one that an agent may write. */
export function requireTrusted(named: string, { cwd, env: { variables } }: Pick<Terminal, 'cwd' | 'env'>): string {
  const { folders } = new AgentFolders(variables.HOME)
  const isPath = named.includes('/')
  const found = isPath ? trustedPath(resolve(cwd, named), folders) : findTrusted(named, variables, folders)
  if (found !== undefined) return found
  throw new CageError('deployment_failed', `${named} is not on this machine, or is where an agent may write`, {
    hint: 'install it outside the folders of agents: it runs without a sandbox',
  })
}

/** The executable of Iron Cage, for images. Throws CageError `bad_request` when this installation has none. */
export function programFile(): string {
  const file = isSingleExecutable() ? process.execPath : join(packageFolder(), 'dist/iron-cage')
  if (existsSync(file)) return file
  throw new CageError('bad_request', 'an image needs the single executable of Iron Cage, and there is none', {
    hint: 'build it with "npm run build:binary", or install the wheel',
  })
}
