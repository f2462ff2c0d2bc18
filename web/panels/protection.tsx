import { PII, PII_TYPES, type PiiType } from '../../src/core/pii-types.ts'
import { showCount, showName } from '../../src/core/units.ts'
import type { Figures } from '../../src/state/figures.ts'
import type { AgentView } from '../../src/state/snapshot.ts'
import { ago, Panel, Row, Tag } from '../parts/parts.tsx'

const titleOf = (type: PiiType): string => PII[type].title

const MODES = { redact: 'Redacting', block: 'Blocking', warn: 'Reporting only' } as const

export function ProtectionPanel({ agent, figures, nowMs }: { agent: AgentView; figures: Figures; nowMs: number }) {
  const watched = PII_TYPES.filter((type) => agent.detect.includes(type))
  const found = watched.filter((type) => agent.pii[type])
  const quiet = watched.filter((type) => !agent.pii[type]).map(titleOf)
  const unwatched = PII_TYPES.filter((type) => !agent.detect.includes(type)).map(titleOf)
  const isOn = agent.safety_mode !== 'warn'
  return (
    <Panel
      name="protection"
      title="Protection"
      aside={
        <Tag tone={isOn ? 'ok' : 'warn'} mark={isOn ? '✔' : '▲'}>
          {MODES[agent.safety_mode]}
        </Tag>
      }
    >
      <div class="big" data-figure="leaks">
        {showCount(figures.leaks_stopped)} <small>{isOn ? 'leaks stopped' : 'found, left in place'}</small>
      </div>
      <div class="rows">
        {found.map((type) => (
          <Row key={type} label={titleOf(type)}>
            <Tag tone={PII[type].risk === 'HIGH' ? 'bad' : 'warn'}>{PII[type].risk}</Tag>{' '}
            {showCount(agent.pii[type] ?? 0)}
          </Row>
        ))}
        {quiet.length > 0 && <Row label={quiet.join(', ')}>0</Row>}
        <Row label="Last">
          {agent.last_pii
            ? [agent.last_pii.unit, showName(agent.last_pii.pii_type), ago(agent.last_pii.at, nowMs)]
                .filter(Boolean)
                .join(' · ')
            : 'none'}
        </Row>
        <Row label="Unauthorized actions">
          <UnauthorizedActions agent={agent} />
        </Row>
        {unwatched.length > 0 && (
          <Row label={unwatched.length > 2 ? `${unwatched.length} more types` : unwatched.join(', ')}>
            <span title={unwatched.join(', ')}>
              <Tag tone="off">not monitored</Tag>
            </span>
          </Row>
        )}
        <Row label="Prompt injection">
          <Tag tone="off">not monitored</Tag>
        </Row>
      </div>
    </Panel>
  )
}

/** The sandbox's refusals; without a sandbox nothing is monitored. */
function UnauthorizedActions({ agent: { sandbox, unauthorized } }: { agent: AgentView }) {
  if (sandbox === null || sandbox.level === 'off') return <Tag tone="off">not monitored</Tag>
  const { denied, bypassed, last } = unauthorized
  const walls = `Sandbox ${sandbox.level}, network ${sandbox.limited ? 'limited' : 'observed'}`
  const counts = [`${denied} refused`, bypassed > 0 && `${bypassed} past the gateway`]
  return (
    <span title={[walls, last && `last: ${last}`].filter(Boolean).join('; ')}>
      {bypassed > 0 && <Tag tone="bad">HIGH</Tag>} {counts.filter(Boolean).join(' · ')}
    </span>
  )
}
