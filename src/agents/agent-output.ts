/** Where the lines of one agent go: events, the log file, the record of what was found in them. */
import type { Clock } from '../clock.ts'
import type { AgentId } from '../ids.ts'
import type { Findings } from '../redaction/findings.ts'
import type { Finding } from '../redaction/match.ts'
import type { StateManager } from '../state/state-manager.ts'
import { outputEvent, unshownEvent } from './agent-events.ts'
import { DayQuota } from './day-quota.ts'
import { FindingBatch } from './finding-batch.ts'
import { LineReader, type OutputSink, type Reading, readLines } from './output.ts'
import type { OutputPace } from './output-pace.ts'
import type { AgentProcess } from './process.ts'

/** What is done with the output of all agents. */
export interface OutputParts {
  pace: OutputPace
  /** Makes a line fit to be stored and shown. */
  redact: (text: string) => { text: string; findings: readonly Finding[] }
  /** What was found in lines of an agent, at most once a second. */
  found: (findings: Findings, agentId: AgentId) => void
  /** Writes a line into the log file alone. */
  log: (text: string, facts: { agent_id: AgentId; stream: Stream }) => void
  /** What an agent may write there in a day. */
  maxBytes: number
}

type Stream = 'stdout' | 'stderr'

/** An error of Node's stands above its stack. */
const LAST_LINES = 30

export class AgentOutput {
  readonly #agentId: AgentId
  readonly #parts: OutputParts
  readonly #state: StateManager
  readonly #clock: Clock
  readonly #findings: FindingBatch
  readonly #dayLog: DayQuota
  /** The end of what the present run wrote on stderr. */
  #lastLines: string[] = []

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

  /** Records what was found last. */
  endRun(): void {
    this.#findings.flush()
  }

  /** The error that the run wrote last: Python writes it at the end; Node writes its stack and version after it. */
  get lastError(): string | undefined {
    const written = this.#lastLines.filter((line) => line.trim() !== '')
    const last = written.at(-1)
    return last?.startsWith('Node.js v') ? written.findLast((line) => /^\w*Error\b/.test(line)) : last
  }

  #sinkOf(stream: Stream): OutputSink {
    const agent_id = this.#agentId
    const { redact, log } = this.#parts
    return {
      redact: (line) => {
        const { text, findings } = redact(line)
        this.#findings.add(findings)
        return text
      },
      show: (lines) => {
        if (stream === 'stderr')
          this.#lastLines = [...this.#lastLines, ...lines.map(({ text }) => text)].slice(-LAST_LINES)
        this.#state.recordAll(
          lines.map(({ text, truncated }) => ({ event: { ...outputEvent(stream, text, truncated), agent_id } })),
        )
      },
      hasRoom: (bytes) => this.#dayLog.take(bytes),
      log: (text) => log(text, { agent_id, stream }),
      note: (lines) => this.#state.record({ ...unshownEvent(stream, lines), agent_id }),
    }
  }
}
