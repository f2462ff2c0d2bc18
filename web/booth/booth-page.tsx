/** Four promises, kept live on a second server: see `src/booth/booth.ts`. */
import { useSignal } from '@preact/signals'
import type { BoothStep } from '../../src/booth/steps.ts'
import { showUsd, usd } from '../../src/core/money.ts'
import { showCount, showLatency } from '../../src/core/units.ts'
import { Marked } from '../parts/marked.tsx'
import { Action, Fault, Panel, Row, Tag } from '../parts/parts.tsx'
import { read, sendRaw } from '../session.ts'
import './booth-page.css'

type Of<Step extends BoothStep['step']> = Extract<BoothStep, { step: Step }>

export function BoothPage() {
  const steps = useSignal<readonly BoothStep[]>([])
  const run = async () => {
    steps.value = []
    for await (const step of booth()) steps.value = [...steps.value, step]
  }
  const find = <Step extends BoothStep['step']>(name: Step) =>
    steps.value.find((step): step is Of<Step> => step.step === name)
  return (
    <main class="booth">
      <header class="booth-intro">
        <h2>Live, on a server of its own</h2>
        <p class="dim">
          A second Iron Cage with a simulated provider is called, killed and tampered with. Every figure is measured as
          you watch.
        </p>
        <Action label="Run" kind="primary" act={run} />
        <Fault text={find('failed')?.problem ?? null} />
      </header>
      <LastCent cage={find('last_cent')} naive={find('naive')} />
      <Stream sent={find('sent')} steps={steps.value} />
      <Killed step={find('killed')} />
      <Flipped step={find('flipped')} />
    </main>
  )
}

/** Each finding, as it arrives. Throws ApiError. */
async function* booth(): AsyncGenerator<BoothStep> {
  const response = await sendRaw('POST', '/api/booth')
  if (!response.ok) await read(response)
  const decoder = new TextDecoder()
  const reader = response.body!.getReader()
  let unread = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const lines = (unread + decoder.decode(value, { stream: true })).split('\n')
    unread = lines.pop()!
    for (const line of lines) yield JSON.parse(line) as BoothStep
  }
}

const Waiting = () => <p class="dim empty">Not run yet.</p>

const LastCent = ({ cage, naive }: { cage: Of<'last_cent'> | undefined; naive: Of<'naive'> | undefined }) => (
  <Panel name="last-cent" title="200 calls at once on the last cent">
    {!cage && <Waiting />}
    <div class="sides">
      {cage && <Spending title="Iron Cage" {...cage} />}
      {naive && <Spending title="A counter that looks, calls, then adds" {...naive} />}
    </div>
    {cage && (
      <p class="dim">
        All {cage.calls} were answered or refused within {showLatency(cage.took_ms)}.
      </p>
    )}
  </Panel>
)

function Spending(props: { title: string; limit_usd: string; spent_usd: string; answered: number; calls: number }) {
  const { title, limit_usd, spent_usd, answered, calls } = props
  const isOver = Number(spent_usd) > Number(limit_usd)
  return (
    <section>
      <h3>{title}</h3>
      <div class="big">{showUsd(usd(spent_usd))}</div>
      <p>
        of {showUsd(usd(limit_usd))}{' '}
        <Tag tone={isOver ? 'bad' : 'ok'} mark={isOver ? '✖' : '✔'}>
          {isOver ? 'overshot' : 'within its limit'}
        </Tag>
      </p>
      <p class="dim">
        {showCount(answered)} of {showCount(calls)} calls paid
      </p>
    </section>
  )
}

function Stream({ sent, steps }: { sent: Of<'sent'> | undefined; steps: readonly BoothStep[] }) {
  const received = steps.flatMap((step) => (step.step === 'received' ? [step.piece] : []))
  return (
    <Panel name="stream" title="A streamed reply, redacted across its chunks">
      {sent ? (
        <div class="sides">
          <section>
            <h3>The provider sends</h3>
            <Pieces pieces={sent.pieces} />
          </section>
          <section>
            <h3>The agent receives</h3>
            <Marked text={received.join('')} />
          </section>
        </div>
      ) : (
        <Waiting />
      )}
    </Panel>
  )
}

const Pieces = ({ pieces }: { pieces: readonly string[] }) => (
  <p class="pieces">
    {pieces.map((piece) => (
      <span key={piece}>{piece}</span>
    ))}
  </p>
)

const Killed = ({ step }: { step: Of<'killed'> | undefined }) => (
  <Panel name="killed" title="kill -9, and the same cents">
    {step ? (
      <div class="rows">
        <Row label={`Process ${step.pid}, killed`}>{showUsd(usd(step.before_usd))} spent before</Row>
        <Row label={`Process ${step.new_pid}, on the same file`}>
          {showUsd(usd(step.after_usd))} spent{' '}
          <Tag tone={step.before_usd === step.after_usd ? 'ok' : 'bad'}>
            {step.before_usd === step.after_usd ? '✔ the same' : '✖ not the same'}
          </Tag>
        </Row>
      </div>
    ) : (
      <Waiting />
    )}
  </Panel>
)

const Flipped = ({ step }: { step: Of<'flipped'> | undefined }) => (
  <Panel name="flipped" title="One bit of the audit changed">
    {step ? (
      <div class="rows">
        <Row label={`In row ${step.row}`}>
          <code>{step.was}</code> became <code>{step.is}</code>
        </Row>
        <Row label="The audit says">
          <Tag tone={step.found_row === step.row ? 'ok' : 'bad'}>
            {step.found_row === step.row ? `✔ names row ${step.found_row}` : '✖ names no such row'}
          </Tag>{' '}
          {step.verdict}
        </Row>
      </div>
    ) : (
      <Waiting />
    )}
  </Panel>
)
