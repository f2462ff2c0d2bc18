/** Components of the dashboard as functions of their properties, without a browser. */
import type { ComponentChildren, VNode } from 'preact'
import { expect, onTestFinished, test, vi } from 'vitest'
import { toAgentId } from '../../src/core/ids.ts'
import { usd } from '../../src/core/money.ts'
import { newAgent } from '../../src/state/slices/agent-life.ts'
import type { AlertView, CircuitView } from '../../src/state/snapshot.ts'
import { BurnChart } from '../../web/parts/burn-chart.tsx'
import { agentStarted } from '../support/events.ts'

type Props = Record<string, unknown> & { children?: ComponentChildren }

/** All elements that a component returned, without those that its own components draw. */
function elementsIn(children: ComponentChildren): VNode<Props>[] {
  if (Array.isArray(children)) return children.flatMap(elementsIn)
  if (typeof children !== 'object' || children === null || !('props' in children)) return []
  const element = children as VNode<Props>
  return [element, ...elementsIn(element.props.children)]
}

const agent = newAgent(toAgentId('a-1'), '2026-01-02T03:04:05.000Z', {
  ...agentStarted,
  warn_at: [0.5, 0.75, 1],
})

test('the spending chart has a line for each configured warning and no other, once the limit is near', () => {
  const elements = elementsIn(
    BurnChart({ agent: { ...agent, spent_usd: usd('6') }, lifeMs: 1_000, projectionUsd: null }),
  )
  const tips = elements.filter(({ props }) => props.class === 'tip warn-tip')
  expect(tips.map(({ props }) => String([props.children].flat().join('')))).toEqual(['50%', '75%'])
  expect(elements.filter(({ props }) => props.class === 'warning')).toHaveLength(2)
})

test('the spending chart is scaled to the spending while the limit is far away', () => {
  const chart = elementsIn(
    BurnChart({ agent: { ...agent, spent_usd: usd('0.03') }, lifeMs: 1_000, projectionUsd: null }),
  )
  const ticks = chart.filter(({ props }) => props.class === 'tick').map(({ props }) => props.children)
  expect(ticks).toEqual(['$0.01', '$0.02', '$0.03'])
  expect(chart.filter(({ props }) => props.class === 'limit' || props.class === 'warning')).toEqual([])
})

test('an alert resets its own circuit, not one whose name contains or is contained in its own', async () => {
  const requests: string[] = []
  const session = { access_token: 'access', refresh_token: 'refresh', ends_at: Number.MAX_SAFE_INTEGER }
  vi.stubGlobal('location', { hash: '' })
  vi.stubGlobal('addEventListener', () => undefined)
  vi.stubGlobal('sessionStorage', { getItem: () => JSON.stringify(session) })
  vi.stubGlobal('fetch', async (path: string) => {
    requests.push(path)
    return new Response('{}')
  })
  onTestFinished(() => void vi.unstubAllGlobals())
  const { AlertActions } = await import('../../web/panels/notifications.tsx')
  const circuits = ['crm', 'crm_search', 'search'].map((name) => ({ name, state: 'open' }) as CircuitView)
  for (const circuit of ['crm_search', 'crm', 'gone']) {
    const alert = { kind: 'circuit_open', circuit, title: `Circuit open: ${circuit}` } as AlertView
    const actions = elementsIn(AlertActions({ alert, agent: undefined, circuits }))
    const reset = actions.find(({ props }) => props.label === 'Close circuit')
    await (reset?.props.act as (() => Promise<void>) | undefined)?.()
  }
  expect(requests).toEqual(['/api/circuits/crm_search/reset', '/api/circuits/crm/reset'])
})
