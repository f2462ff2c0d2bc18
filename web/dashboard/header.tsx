/** The agent on screen and its buttons, the connection, and the way to the other pages. */
import { useMemo } from 'preact/hooks'
import { showLatency, showName } from '../../src/core/units.ts'
import { hasRun } from '../../src/state/figures.ts'
import type { AgentView } from '../../src/state/snapshot.ts'
import { pause, restart, resume, stop } from '../actions.ts'
import { agentAddress, callsAddress, reportAddress } from '../address.ts'
import { roundTripMs } from '../connection.ts'
import { StateTag } from '../panels/status.tsx'
import { AdminAction } from '../parts/parts.tsx'
import { Top } from '../parts/shell.tsx'
import { agents, isAlive, isConnected, snapshot } from '../store.ts'
import './header.css'

export function Header({ current, onMenu }: { current: AgentView | undefined; onMenu: () => void }) {
  return (
    <Top title="Iron Cage" home="all agents">
      {agents.value.length > 0 && <AgentChoice current={current} />}
      {current && <span class="pill environment">{current.environment}</span>}
      <span class="space" />
      <span class="pill live" role="status">
        <i class={isConnected.value ? 'dot ok' : 'dot bad'} />
        {isConnected.value
          ? ['Live', roundTripMs.value !== null && showLatency(roundTripMs.value)].filter(Boolean).join(' · ')
          : 'Not connected'}
      </span>
      <a class="btn ghost" href={callsAddress(current?.id)}>
        Calls
      </a>
      <a class="btn ghost" href="#/runs">
        Runs
      </a>
      {current && (
        <a class="btn ghost" href={reportAddress(current.id)}>
          Report
        </a>
      )}
      <button type="button" class="btn ghost" aria-haspopup="dialog" onClick={onMenu}>
        Menu <kbd>⌘K</kbd>
      </button>
      {current && <AgentButtons current={current} />}
    </Top>
  )
}

function AgentChoice({ current }: { current: AgentView | undefined }) {
  const options = useMemo(
    () =>
      agents.value.map(({ id, name, state }) => (
        <option key={id} value={id}>
          {name} {id} · {showName(state)}
        </option>
      )),
    [agents.value],
  )
  if (agents.value.length === 1 && current) {
    return (
      <span class="pill">
        {current.name} <span class="mono">{current.id}</span>
      </span>
    )
  }
  return (
    <select
      class="pill"
      aria-label="Agent"
      value={current?.id ?? ''}
      onChange={({ currentTarget }) => {
        location.hash = currentTarget.value ? agentAddress(currentTarget.value) : '#/'
      }}
    >
      <option value="">All agents ({agents.value.length})</option>
      {options}
    </select>
  )
}

function AgentButtons({ current }: { current: AgentView }) {
  if (!isAlive(current)) {
    return (
      <>
        <StateTag state={current.state} />
        {hasRun(current, snapshot.value) && <AdminAction label="Restart" act={() => restart(current.id)} />}
      </>
    )
  }
  const canAct = current.pid !== null && (current.state === 'running' || current.state === 'paused')
  return (
    <>
      {current.state === 'paused' ? (
        <AdminAction label="Resume" kind="primary" act={() => resume(current.id)} />
      ) : (
        <AdminAction label="Pause" act={() => pause(current.id)} disabled={!canAct} />
      )}
      <AdminAction label="Stop" confirm="Really stop?" act={() => stop(current.id)} disabled={!canAct} />
    </>
  )
}
