/**
 * What `start` and `serve` share: they print events while a server runs, and end on a signal.
 * Nothing here may block the server: a stopped terminal (Ctrl-S) or a reader that does not read loses lines.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { constants as system } from 'node:os'
import { setTimeout as wait } from 'node:timers/promises'
import { isatty } from 'node:tty'
import type { Config } from '../../config/schema.ts'
import { systemClock } from '../../core/clock.ts'
import type { RuntimeEvent } from '../../core/events.ts'
import { isShown } from '../../log/level.ts'
import { LineWriter } from '../../log/line-writer.ts'
import { createLogger, eventLogger, lostJsonLine } from '../../log/logger.ts'
import { textLine } from '../../log/terminal-line.ts'
import { wrapLines } from '../../log/wrap.ts'
import type { Snapshot } from '../../state/snapshot.ts'
import type { StateManager } from '../../state/state-manager.ts'
import type { Terminal } from '../output/terminal.ts'
import { SpendingNotes } from './spending-notes.ts'

export interface Live {
  /** Prints the first block, then every event: those that have waited and all that follow. */
  begin(block: readonly string[]): void
  /** Prints lines among the events. */
  print(lines: readonly string[]): void
  /** Resolves when everything is written, or after `CLOSE_TIMEOUT_MS` without a reader. */
  close(): Promise<void>
}

/** How long the end of the program waits for a reader that does not read, in ms. */
const CLOSE_TIMEOUT_MS = 2_000

export interface LiveOptions {
  /** Called when the reader of the output has gone. */
  onClosed: () => void
  /** Which events are printed, among those that the log level lets through. (Default: all.) */
  shows?: ((event: RuntimeEvent) => boolean) | undefined
}

/** A server whose events are printed. */
export interface EventSource {
  state: Pick<StateManager, 'subscribe' | 'read'>
  config: Pick<Config, 'log'>
}

/** Collects the events of a server from now on. */
export function openLive({ state, config }: EventSource, terminal: Terminal, { onClosed, shows }: LiveOptions): Live {
  const asJson = config.log.format === 'json'
  const output = openOutput(terminal.outDescriptor)
  const lines = new LineWriter({
    clock: systemClock,
    descriptor: () => output,
    lostLine: (lost) =>
      asJson ? lostJsonLine(lost, systemClock) : `… ${lost} lines were not shown: the log has them\n`,
    onFault: ({ code }) => code === 'EPIPE' && onClosed(),
  })
  const write = (line: string) => lines.write(line)
  const notes = new SpendingNotes(state)
  const printJson = eventLogger(
    createLogger({ level: config.log.level, redact: (text) => text, clock: systemClock, write }),
  )
  const styleOf = (event: RuntimeEvent) => ({
    color: terminal.color,
    columns: terminal.columns,
    note: notes.of(event),
    who: agentOf(event, state.read()),
  })
  const print = (event: RuntimeEvent) => {
    notes.see(event)
    if (shows?.(event) === false) return
    if (asJson) printJson(event)
    else if (!isRepetition(event) && isShown(event.level, config.log.level))
      write(`${textLine(event, styleOf(event))}\n`)
  }
  const printLines = (block: readonly string[]) => {
    // With JSON lines, standard output holds nothing else.
    for (const line of wrapLines(block, terminal.columns)) asJson ? terminal.err(line) : write(`${line}\n`)
  }
  const waiting: RuntimeEvent[] = []
  let show = (event: RuntimeEvent): unknown => waiting.push(event)
  const unsubscribe = state.subscribe((event) => show(event))
  return {
    begin(block) {
      printLines(block)
      for (const event of waiting) print(event)
      show = print
    },
    print: printLines,
    async close() {
      unsubscribe()
      await Promise.race([lines.close(), wait(CLOSE_TIMEOUT_MS, undefined, { ref: false })])
      if (output !== terminal.outDescriptor) closeSync(output)
    },
  }
}

/** The event behind an alert was printed when it happened, and so was the exhausted budget that stops an agent. */
const isRepetition = (event: RuntimeEvent): boolean =>
  event.type === 'alert.raised' ||
  (event.type === 'agent.stopped' && event.data.reason === 'budget' && event.data.survivors.length === 0)

/** The agent of an event, where several run. */
function agentOf({ agent_id }: RuntimeEvent, { agents }: Pick<Snapshot, 'agents'>): string | undefined {
  if (agent_id === null) return undefined
  const others = Object.values(agents).some(({ id, pid }) => id !== agent_id && pid !== null)
  return others ? agent_id : undefined
}

/**
 * Reopens a terminal or pipe for non-blocking writes: a thread that is blocked in one would keep the program from ending.
 * Where the system cannot reopen it, the descriptor is used as it is.
 */
function openOutput(descriptor: number): number {
  if (!isatty(descriptor) && !fstatSync(descriptor).isFIFO()) return descriptor
  try {
    return openSync(`/dev/fd/${descriptor}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch {
    return descriptor
  }
}

export interface EndRequest {
  /** Resolves with the reason when the program is asked to end. */
  readonly asked: Promise<string>
  ask(reason: string): void
  /** Called on SIGINT. (Default: SIGINT ends the program.) */
  onInterrupt: (() => void) | undefined
  /** Called on SIGHUP without a terminal. (Default: SIGHUP ends the program.) */
  onReload: (() => void) | undefined
  /** Restores the default effect of the signals. */
  dispose(): void
}

const END_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Listens for signals. A second signal ends the process at once; the watchdogs then end its agents. With a terminal,
 * SIGHUP means that it was closed and ends the program as well; without one it reloads the configuration.
 */
export function listenForEnd(terminal: Terminal): EndRequest {
  const { promise, resolve } = Promise.withResolvers<string>()
  // Asked now: a terminal that was closed is none any more.
  const hasTerminal = [0, 1, 2].some((descriptor) => isatty(descriptor))
  let isAsked = false
  const ask = (reason: string) => {
    isAsked = true
    resolve(reason)
  }
  const onSignal = (signal: NodeJS.Signals) => {
    if (signal === 'SIGHUP' && end.onReload && !hasTerminal) return end.onReload()
    if (signal === 'SIGINT' && end.onInterrupt && !isAsked) return end.onInterrupt()
    if (isAsked) process.exit(128 + system.signals[signal])
    terminal.err(
      signal === 'SIGINT' ? 'Stopping… press Ctrl-C again to force' : `Stopping on ${signal}… repeat it to force`,
    )
    ask(signal)
  }
  for (const signal of END_SIGNALS) process.on(signal, onSignal)
  const end: EndRequest = {
    asked: promise,
    ask,
    onInterrupt: undefined,
    onReload: undefined,
    dispose: () => {
      for (const signal of END_SIGNALS) process.off(signal, onSignal)
    },
  }
  return end
}
