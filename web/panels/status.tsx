import type { AgentState } from '../../src/core/events.ts'
import { showCount, showDuration } from '../../src/core/units.ts'
import { type ShownFigures, showTags, workLeft } from '../../src/state/figures-text.ts'
import type { AgentView } from '../../src/state/snapshot.ts'
import { Panel, Row, Tag, type Tone } from '../parts/parts.tsx'

const STATES: Record<AgentState, { tone: Tone; mark: string; word: string }> = {
  starting: { tone: 'info', mark: '○', word: 'Starting' },
  running: { tone: 'ok', mark: '●', word: 'Running' },
  paused: { tone: 'warn', mark: '❚❚', word: 'Paused' },
  stopping: { tone: 'warn', mark: '◌', word: 'Stopping' },
  completed: { tone: 'ok', mark: '✔', word: 'Completed' },
  stopped: { tone: 'off', mark: '■', word: 'Stopped' },
  failed: { tone: 'bad', mark: '✖', word: 'Failed' },
  crash_loop: { tone: 'bad', mark: '↻', word: 'Crash loop' },
  budget_stopped: { tone: 'bad', mark: '$', word: 'Stopped by budget' },
  blocked: { tone: 'bad', mark: '⛔', word: 'Blocked' },
}

export const StateTag = ({ state }: { state: AgentState }) => (
  <Tag tone={STATES[state].tone} mark={STATES[state].mark}>
    {STATES[state].word}
  </Tag>
)

export function StatusPanel({ agent, figures, nowMs }: { agent: AgentView; figures: ShownFigures; nowMs: number }) {
  const { progress, outcomes } = agent
  return (
    <Panel name="status" title="Agent status" aside={<StateTag state={agent.state} />}>
      {progress ? (
        <>
          <div class="big" data-figure="progress">
            {showCount(progress.done)} <small>{workLeft(figures)}</small>
          </div>
          <div
            class="bar"
            role="progressbar"
            aria-label="Work done"
            aria-valuenow={progress.done}
            aria-valuemax={progress.total ?? undefined}
          >
            <i style={{ width: `${figures.progress_percent ?? 0}%` }} />
          </div>
          <p class="dim">{remaining(agent, nowMs) ?? agent.progress?.label ?? ' '}</p>
        </>
      ) : (
        <p class="dim empty">
          No progress reported. <code>iron_cage.progress(done, total)</code> shows it here.
        </p>
      )}
      <div class="rows">
        <Row label="Success rate">{figures.success ?? '–'}</Row>
        <Row label="Degraded">{outcomes.degraded ? `${showCount(outcomes.degraded)} by fallback` : '0'}</Row>
        <Row label="Uptime">
          {showDuration(figures.uptime_ms)} · {figures.uptime_share}
        </Row>
        <Row label="Restarts">{agent.restarts}</Row>
        {agent.strategy && <Row label="Deployed with">{agent.strategy}</Row>}
        {agent.tags && <Row label="Tags">{showTags(agent.tags)}</Row>}
        <Row label={agent.pid === null ? 'Ended' : 'Process'}>
          {agent.pid === null ? (agent.reason ?? 'not supervised') : <span class="mono">pid {agent.pid}</span>}
        </Row>
      </div>
    </Panel>
  )
}

/** "~15 s left", while it runs and has started. */
function remaining({ progress, started_at, state }: AgentView, nowMs: number): string | null {
  if (!progress?.total || progress.done === 0 || progress.done >= progress.total || state !== 'running') return null
  const perUnit = (Date.parse(progress.last_at) - Date.parse(started_at)) / progress.done
  const leftMs = perUnit * (progress.total - progress.done) - (nowMs - Date.parse(progress.last_at))
  return `~${showDuration(Math.max(1000, leftMs))} left`
}
