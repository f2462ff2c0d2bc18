/** The browser's tab: its title and icon show the state of the agent on screen, or how many agents need attention. */
import { useEffect } from 'preact/hooks'
import { showName } from '../../src/core/units.ts'
import { type AgentView, isClient } from '../../src/state/snapshot.ts'
import { agents, isAlive, needsAttention } from '../store.ts'

const COLORS = { calm: '#5a78e8', bad: '#e5484d' }

export function useTabState(current: AgentView | undefined): void {
  const [title, color] = stateOf(current)
  useEffect(() => {
    document.title = title
  }, [title])
  useEffect(() => {
    const icon = document.querySelector<HTMLLinkElement>('link[rel=icon]')
    if (icon) icon.href = icon.href.replace(/%23[0-9a-f]{6}/, encodeURIComponent(color))
  }, [color])
}

function stateOf(current: AgentView | undefined): [string, string] {
  if (current) {
    const color = needsAttention(current) ? COLORS.bad : COLORS.calm
    return [`${current.name} · ${showName(current.state)} · Iron Cage`, color]
  }
  const alive = agents.value.filter((agent) => isAlive(agent) && !isClient(agent)).length
  const attention = agents.value.filter(needsAttention).length
  const parts = [alive > 0 && `${alive} running`, attention > 0 && `${attention} need attention`, 'Iron Cage']
  return [parts.filter(Boolean).join(' · '), attention > 0 ? COLORS.bad : COLORS.calm]
}
