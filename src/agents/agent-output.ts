/** The output of one agent: its lines become events and lines of the log file, and findings in them are recorded. */
import type { Clock, Timer } from '../core/clock.ts'
import type { NewEvent } from '../core/events.ts'
import type { AgentId } from '../core/ids.ts'
import type { Findings } from '../redaction/findings.ts'
import type { Finding } from '../redaction/text/match.ts'
import type { StateManager } from '../state/state-manager.ts'
import { outputEvent, repeatedErrorEvent, unshownEvent } from './agent-events.ts'
import { DayQuota } from './day-quota.ts'
import { FindingBatch } from './finding-batch.ts'
import { type Line, LineReader, type OutputSink, type Reading, readLines } from './output.ts'
import type { OutputPace } from './output-pace.ts'
import type { AgentProcess } from './process.ts'
import { type OutputEntry, TracebackReader } from './traceback.ts'

/** The sinks of all agents' output. */
export interface OutputParts {
  pace: OutputPace
  /** Makes a line fit to be stored and shown. */
  redact: (text: string) => { text: string; findings: readonly Finding[] }
  /** Makes the beginning of a line fit to be shown. */
  redactBeginning: (text: string) => string
  /** Receives findings in an agent's lines, at most once a second. */
  found: (findings: Findings, agentId: AgentId) => void
  /** Writes a line to the log file only. */
  log: (text: string, facts: { agent_id: AgentId; stream: Stream }) => void
  /** How much an agent may write to the log file in a day. */
  maxBytes: number
}

type Stream = 'stdout' | 'stderr'

/** How many stderr lines are kept: Node prints the error above its stack. */
const LAST_LINES = 30
/** How long a traceback may wait for its next line. */
const SETTLE_MS = 200

export class AgentOutput {
  readonly #agentId: AgentId
  readonly #parts: OutputParts
  readonly #state: StateManager
  readonly #clock: Clock
  readonly #findings: FindingBatch
  readonly #dayLog: DayQuota
  /** The last stderr lines of the current run. */
  #lastLines: string[] = []
  readonly #tracebacks = new TracebackReader()
  #settle: Timer | undefined
  #lastTraceback = ''

  constructor(agentId: AgentId, { output, state, clock }: { output: OutputParts; state: StateManager; clock: Clock }) {
    this.#agentId = agentId
    this.#parts = output
    this.#state = state
    this.#clock = clock
    this.#findings = new FindingBatch((findings) => output.found(findings, agentId), clock)
    this.#dayLog = new DayQuota(output.maxBytes, clock)
  }

  beginRun(): void {
    this.#lastLines = []
  }

  /** Reads stdout and stderr. */
  listen(process: Pick<AgentProcess, Stream>): Reading[] {
    return (['stdout', 'stderr'] as const).map((stream) =>
      readLines(process[stream], new LineReader(this.#sinkOf(stream), this.#clock), this.#parts.pace),
    )
  }

  /** Records what still waits: the last traceback and the latest findings. */
  endRun(): void {
    this.#recordHeld()
    this.#findings.flush()
  }

  /** The last error of the run: Python prints it at the end, Node before the stack and its version. */
  get lastError(): string | undefined {
    const written = this.#lastLines.filter((line) => line.trim() !== '')
    const last = written.at(-1)
    return last?.startsWith('Node.js v') ? written.findLast((line) => /^\w*Error\b/.test(line)) : last
  }

  #showErrors(lines: readonly Line[]): void {
    this.#lastLines = [...this.#lastLines, ...lines.map(({ text }) => text)].slice(-LAST_LINES)
    this.#settle?.cancel()
    this.#record(
      'stderr',
      lines.flatMap((line) => this.#tracebacks.add(line)),
    )
    if (this.#tracebacks.isHolding) this.#settle = this.#clock.after(SETTLE_MS, () => this.#recordHeld())
  }

  #recordHeld(): void {
    this.#settle?.cancel()
    this.#record('stderr', this.#tracebacks.end())
  }

  #record(stream: Stream, entries: readonly OutputEntry[]): void {
    if (entries.length === 0) return
    const agent_id = this.#agentId
    this.#state.recordAll(entries.map((entry) => ({ event: { ...this.#eventOf(stream, entry), agent_id } })))
  }

  /** The traceback of a restarted agent is often the one before. */
  #eventOf(stream: Stream, entry: OutputEntry): NewEvent {
    if (entry.error === null) return outputEvent(stream, entry)
    const isRepeated = entry.text === this.#lastTraceback
    this.#lastTraceback = entry.text
    return isRepeated ? repeatedErrorEvent(entry.error) : outputEvent(stream, entry)
  }

  #sinkOf(stream: Stream): OutputSink {
    const agent_id = this.#agentId
    const { redact, redactBeginning, log } = this.#parts
    return {
      redact: (line) => {
        const { text, findings } = redact(line)
        this.#findings.add(findings)
        return text
      },
      redactBeginning,
      show: (lines) =>
        stream === 'stderr'
          ? this.#showErrors(lines)
          : this.#record(
              stream,
              lines.map((line) => ({ ...line, error: null })),
            ),
      hasRoom: (bytes) => this.#dayLog.take(bytes),
      log: (text) => log(text, { agent_id, stream }),
      note: (lines) => this.#state.record({ ...unshownEvent(stream, lines), agent_id }),
    }
  }
}
