/**
 * `run`: any command in the cage. Unlike a script, the command has this terminal: its stdin, stdout and stderr are those
 * of iron-cage, unread and unrecorded, so that a dialog or a pipe works as it would without the cage. What Iron Cage itself
 * prints goes to stderr, before and after the command.
 */
import { spawnSync } from 'node:child_process'
import { openSync, readFileSync } from 'node:fs'
import { isatty } from 'node:tty'
import { readServerFile } from '../../access/server-file.ts'
import type { AgentSpec } from '../../agents/supervisor.ts'
import { AgentFolders } from '../../config/agent-folders.ts'
import type { Policies } from '../../config/policy.ts'
import { CageError } from '../../core/errors.ts'
import { findTrusted, trustedEnvironment } from '../../sandbox/trusted-program.ts'
import { type CliCommand, command } from '../command.ts'
import type { Terminal } from '../output/terminal.ts'
import { withAgent } from '../settings/flags.ts'
import { loadServerFlags } from '../settings/server-flags.ts'
import { joinServer } from '../start/join.ts'
import { type AgentShow, reportOf, runAgent, type StartedAgent } from '../start/run-agent.ts'
import { typedCommand } from '../typed-command.ts'

export const runCommand: CliCommand = (terminal, line) =>
  command({
    command: 'run [command..]',
    describe: 'Run any command in the cage, on this terminal; exits with its code. Restarts only with --restart',
    builder: (yargs) =>
      withAgent(yargs)
        .positional('command', {
          type: 'string',
          array: true,
          default: [] as string[],
          describe: 'A program and its arguments',
        })
        .option('open', { type: 'boolean', describe: 'Open the dashboard in a browser' })
        .example([
          ['iron-cage run --budget 5 -- claude', 'a coding assistant with a hard limit of $5'],
          ['iron-cage run -- uv run agent.py', 'a script, as another tool runs it'],
          ['iron-cage run -- streamlit run app.py', 'a server'],
        ]),
    handler: async ({ command: words, '--': after = [], open, restart = false, ...flags }) => {
      const [program, ...args] = [...words, ...(after as string[])]
      if (program === undefined) throw new CageError('usage', 'missing argument: a program to run')
      const load = (policy?: Policies | null) =>
        loadServerFlags({ ...flags, restart }, terminal, { scriptDir: terminal.cwd, args }, policy)
      const loaded = load()
      const agent: AgentSpec = { script: program, kind: 'command' }
      const command = typedCommand(line)
      const start = { loaded, script: program, agent, command, open }
      const join = () => joinServer(start, withoutInput(terminal))
      if (await readServerFile(loaded.config.db.path)) return join()
      const own = onStderr(terminal)
      const restoreTerminal = isatty(0) ? keepTerminal(terminal) : () => {}
      const show: AgentShow = {
        ...start,
        agent: { ...agent, descriptors: { stdin: inputOf(), stdout: 1, stderr: 2 } },
        reload: load,
        shows: () => false,
        onStarted: passSignals,
        report: (runtime, agentId, serverStays) => {
          restoreTerminal()
          // The command may have left its last line open.
          return ['', ...reportOf(runtime, agentId, { loaded, serverStays, command })]
        },
      }
      await runAgent(show, own).catch((error: unknown) => {
        // Another terminal has started a server meanwhile.
        if (error instanceof CageError && error.code === 'already_running') return join()
        throw error
      })
      terminal.exitCode = own.exitCode
    },
  })

/** The command's output is data: nothing of ours is mixed with it. */
const onStderr = (terminal: Terminal): Terminal =>
  Object.create(terminal, {
    outDescriptor: { value: 2 },
    columns: { get: () => process.stderr.columns },
    color: { value: process.stderr.isTTY === true && !terminal.env.noColor },
    exitCode: { value: 0, writable: true },
  }) as Terminal

/** The server runs the command and does not have this terminal. Throws CageError `conflict` when a person would type. */
function withoutInput(terminal: Terminal): Terminal {
  if (!isatty(0) || !isatty(1)) return terminal
  throw new CageError('conflict', 'a server runs on this database, and its commands have no terminal', {
    hint: 'give this command a server of its own: "iron-cage run --db other.db --port 0 -- …"',
  })
}

/** The descriptor of the command's stdin: ours, but for a terminal that another program is using. */
function inputOf(): number {
  return isatty(0) && !isInForeground() ? openSync('/dev/null', 'r') : 0
}

/** True if this process may read from its terminal; also where the system does not tell. */
function isInForeground(): boolean {
  try {
    // pid (name) state ppid pgrp session tty_nr tpgid …
    const fields = readFileSync('/proc/self/stat', 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    return fields[2] === fields[5]
  } catch {
    return true
  }
}

/** Returns a function that gives the terminal back its settings, which a killed command leaves as they are. */
function keepTerminal({ env: { variables } }: Terminal): () => void {
  const { folders } = new AgentFolders(variables.HOME)
  const env = trustedEnvironment(variables, folders)
  const stty = findTrusted('stty', variables, folders)
  if (stty === undefined) return () => {}
  const { stdout } = spawnSync(stty, ['-g'], { stdio: [0, 'pipe', 'ignore'], encoding: 'utf8', env })
  const settings = stdout?.trim()
  return () => void (settings && spawnSync(stty, [settings], { stdio: [0, 'ignore', 'ignore'], env }))
}

/** The command is no member of this terminal's session: we pass on the terminal's signals to its members. */
function passSignals({ runtime: { supervisor }, agentId, end }: StartedAgent): void {
  end.onInterrupt = () => supervisor.signal(agentId, 'SIGINT')
  process.on('SIGWINCH', () => supervisor.signal(agentId, 'SIGWINCH'))
  // Ctrl-Z would stop the server that the command needs.
  process.on('SIGTSTP', () => undefined)
}
