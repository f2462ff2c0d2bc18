import type { PiiType } from '../../src/events.ts'
import type { Figures } from '../../src/state/figures.ts'
import type { AgentView } from '../../src/state/snapshot.ts'
import { ago, Panel, Row, Tag } from '../parts/parts.tsx'

const TYPES: { type: PiiType; word: string; risk: 'HIGH' | 'MEDIUM' }[] = [
  { type: 'email', word: 'E-mail', risk: 'HIGH' },
  { type: 'phone', word: 'Phone', risk: 'MEDIUM' },
  { type: 'ssn', word: 'SSN', risk: 'HIGH' },
  { type: 'credit_card', word: 'Credit card', risk: 'HIGH' },
  { type: 'iban', word: 'IBAN', risk: 'HIGH' },
  { type: 'secret', word: 'Keys and tokens', risk: 'HIGH' },
  { type: 'ip', word: 'IP address', risk: 'MEDIUM' },
]

const MODES = { redact: 'Redacting', block: 'Blocking', warn: 'Only noting' } as const

export function ProtectionPanel({ agent, figures, nowMs }: { agent: AgentView; figures: Figures; nowMs: number }) {
  const watched = TYPES.filter(({ type }) => agent.detect.includes(type))
  const found = watched.filter(({ type }) => agent.pii[type])
  const quiet = watched.filter(({ type }) => !agent.pii[type]).map(({ word }) => word)
  const unwatched = TYPES.filter(({ type }) => !agent.detect.includes(type)).map(({ word }) => word)
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
        {figures.leaks_stopped} <small>{isOn ? 'leaks stopped' : 'found, left in place'}</small>
      </div>
      <div class="rows">
        {found.map(({ type, word, risk }) => (
          <Row key={type} label={word}>
            <Tag tone={risk === 'HIGH' ? 'bad' : 'warn'}>{risk}</Tag> {agent.pii[type]}
          </Row>
        ))}
        {quiet.length > 0 && <Row label={quiet.join(', ')}>0</Row>}
        <Row label="Last">
          {agent.last_pii
            ? [agent.last_pii.unit, agent.last_pii.pii_type.replace('_', ' '), ago(agent.last_pii.at, nowMs)]
                .filter(Boolean)
                .join(' · ')
            : 'none'}
        </Row>
        <Row label="Unauthorized actions">
          <UnauthorizedActions agent={agent} />
        </Row>
        {[...unwatched, 'Prompt injection'].map((word) => (
          <Row key={word} label={word}>
            <Tag tone="off">not monitored</Tag>
          </Row>
        ))}
      </div>
    </Panel>
  )
}

/** What the walls of the operating system refused; where none stand, nobody looks. */
function UnauthorizedActions({ agent: { sandbox, unauthorized } }: { agent: AgentView }) {
  if (sandbox === null || sandbox.level === 'off') return <Tag tone="off">not monitored</Tag>
  const { denied, bypassed, last } = unauthorized
  const walls = sandbox.limited ? `${sandbox.level}, network limited` : `${sandbox.level}, network observed`
  const counts = [`${denied} refused`, bypassed > 0 && `${bypassed} past the gateway`, last && `last: ${last}`]
  return (
    <>
      {bypassed > 0 && <Tag tone="bad">HIGH</Tag>} {counts.filter(Boolean).join(' · ')} <small>{walls}</small>
    </>
  )
}
