/** What to do while there is no agent: start one, or connect a client with a token. */
import { useSignal } from '@preact/signals'
import { SecretsPanel } from '../panels/secrets.tsx'
import { AdminAction, Empty } from '../parts/parts.tsx'
import { send } from '../session.ts'
import { serverNow, snapshot } from '../store.ts'
import './first-steps.css'

export function FirstSteps() {
  const token = useSignal<string | null>(null)
  const create = async () => {
    token.value = (await send<{ token: string }>('POST', '/api/tokens', { name: 'first-client' })).token
  }
  return (
    <main class="first-steps">
      <Empty title="No agent yet">
        <p>Start one in a terminal:</p>
        <pre>iron-cage start agent.py --budget 50</pre>
        <p>Or point any OpenAI or Anthropic client here:</p>
        <pre>{snippet(token.value)}</pre>
        {token.value === null ? (
          <AdminAction label="Create a token for it" act={create} />
        ) : (
          <p class="dim">
            The token is shown only now. It has a budget of $100; revoke it with “iron-cage tokens revoke”.
          </p>
        )}
      </Empty>
      <SecretsPanel snapshot={snapshot.value} environment="" nowMs={serverNow.value} />
    </main>
  )
}

const snippet = (token: string | null): string =>
  [
    `export OPENAI_BASE_URL=${location.origin}/gateway/openai/v1`,
    `export OPENAI_API_KEY=${token ?? '<token>'}`,
    `export ANTHROPIC_BASE_URL=${location.origin}/gateway/anthropic`,
    `export ANTHROPIC_API_KEY=${token ?? '<token>'}`,
  ].join('\n')
