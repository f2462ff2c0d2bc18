/** The secrets in the vault, without values, and their actions. */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { SecretListed } from '../../src/core/events.ts'
import type { Snapshot } from '../../src/state/snapshot.ts'
import { createSecret, deleteSecret, restoreSecret, revealSecret, updateSecret } from '../actions.ts'
import { Dialog } from '../parts/dialog.tsx'
import { AdminAction, ago, Panel } from '../parts/parts.tsx'
import { isAdmin } from '../session.ts'
import './secrets.css'

/** A revealed value disappears after this time, as others may see the screen. */
const REVEALED_MS = 20_000
const ENVIRONMENTS = ['development', 'staging', 'production']

/** A sentence with its commands and settings in type of their own. */
const Coded = ({ text }: { text: string }) => (
  <>
    {text.split(/("[^"]+"|[A-Z_]+=\S+)/).map((piece, index) =>
      // Every second piece is a match of the expression.
      index % 2 === 1 ? <code key={index}>{piece.replaceAll('"', '')}</code> : piece,
    )}
  </>
)

type Task = { kind: 'add' } | { kind: 'edit' | 'delete'; secret: SecretListed }

export function SecretsPanel({
  snapshot,
  environment,
  nowMs,
}: {
  snapshot: Snapshot
  /** The environment of the agent on screen, whose secrets come first. Empty for all agents. */
  environment: string
  nowMs: number
}) {
  const { vault } = snapshot
  const task = useSignal<Task | null>(null)
  const all = Object.values(snapshot.secrets).sort(
    (a, b) =>
      Number(b.environment === environment) - Number(a.environment === environment) || a.name.localeCompare(b.name),
  )
  const kept = all.filter(({ deleted_at }) => deleted_at === null)
  const deleted = all.filter(({ deleted_at }) => deleted_at !== null)
  const close = () => {
    task.value = null
  }
  return (
    <Panel
      name="secrets"
      title="Secrets"
      aside={
        isAdmin.value &&
        vault.state === 'open' && (
          <button type="button" class="btn" onClick={() => (task.value = { kind: 'add' })}>
            + Add
          </button>
        )
      }
    >
      {vault.state === 'locked' && (
        <p class="locked">
          <b>The vault is locked.</b> To open it, <Coded text={vault.hint} />.
        </p>
      )}
      <ul class="secrets scroll">
        {kept.map((secret) => (
          <Secret
            key={secret.id}
            secret={secret}
            nowMs={nowMs}
            isOpen={vault.state === 'open'}
            onTask={(next) => (task.value = next)}
          />
        ))}
        {kept.length === 0 && vault.state === 'open' && (
          <li class="dim empty">No secrets yet. Agents get them as environment variables.</li>
        )}
        {deleted.map(({ id, name, environment: of }) => (
          <li key={id} class="gone">
            <span class="mono">{name}</span> <span class="dim">{of} · deleted</span>
            <AdminAction
              label="Restore"
              kind="ghost"
              act={() => restoreSecret(id)}
              disabled={vault.state === 'locked'}
            />
          </li>
        ))}
      </ul>
      <p class="dim foot">
        AES-256-GCM · vault {vault.state}
        {lastRotation(all, nowMs)}
      </p>
      {task.value?.kind === 'add' && <AddSecret environment={environment} onClose={close} />}
      {task.value?.kind === 'edit' && <EditSecret secret={task.value.secret} onClose={close} />}
      {task.value?.kind === 'delete' && <DeleteSecret secret={task.value.secret} onClose={close} />}
    </Panel>
  )
}

function Secret(props: { secret: SecretListed; nowMs: number; isOpen: boolean; onTask: (task: Task) => void }) {
  const { secret, isOpen } = props
  const value = useSignal<string | null>(null)
  useEffect(() => {
    if (value.value === null) return
    const timer = setTimeout(() => (value.value = null), REVEALED_MS)
    return () => clearTimeout(timer)
  }, [value.value])
  // A rotated secret has another value than the one on screen.
  useEffect(() => {
    value.value = null
  }, [secret.version])
  const { name } = secret
  return (
    <li data-secret={name}>
      <span class="line">
        <span class="mono" title={name}>
          {name}
        </span>
        <span class="mono dim">{secret.masked}</span>
      </span>
      <span class="line below">
        <span class="dim">
          {secret.environment} ·{' '}
          {secret.rotated_at
            ? `rotated ${ago(secret.rotated_at, props.nowMs)}`
            : `added ${ago(secret.created_at, props.nowMs)}`}
        </span>
        {isAdmin.value && (
          <span class="tools">
            {value.value === null ? (
              <AdminAction
                label="Reveal"
                title={`Reveal ${name}`}
                kind="ghost"
                disabled={!isOpen}
                act={async () => {
                  value.value = await revealSecret(secret.id)
                }}
              />
            ) : (
              <button type="button" class="btn ghost" onClick={() => (value.value = null)}>
                Hide
              </button>
            )}
            <button
              type="button"
              class="btn ghost"
              aria-label={`Edit ${name}`}
              disabled={!isOpen}
              onClick={() => props.onTask({ kind: 'edit', secret })}
            >
              Edit
            </button>
            <button
              type="button"
              class="btn ghost"
              aria-label={`Delete ${name}`}
              disabled={!isOpen}
              onClick={() => props.onTask({ kind: 'delete', secret })}
            >
              Delete
            </button>
          </span>
        )}
      </span>
      {value.value !== null && <pre class="revealed">{value.value}</pre>}
    </li>
  )
}

function AddSecret({ environment, onClose }: { environment: string; onClose: () => void }) {
  return (
    <Dialog
      title="Add a secret"
      submit="Add"
      onClose={onClose}
      act={(form) =>
        createSecret(form.get('name') as string, form.get('environment') as string, form.get('value') as string)
      }
    >
      <label>
        Name
        <input
          name="name"
          required
          pattern="[A-Za-z_][A-Za-z0-9_]*"
          title="Letters, digits and _, not beginning with a digit"
          onInput={({ currentTarget }) => explainPattern(currentTarget)}
          placeholder="OPENAI_API_KEY"
          autocomplete="off"
          spellcheck={false}
        />
      </label>
      <label>
        Environment
        <select name="environment" defaultValue={environment}>
          {ENVIRONMENTS.map((name) => (
            <option key={name} selected={name === environment}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <Value label="Value" />
    </Dialog>
  )
}

/** Explains problems in its own words: the browser's own ones name no rule. */
const explainPattern = (field: HTMLInputElement): void => {
  field.setCustomValidity('')
  if (field.validity.patternMismatch) field.setCustomValidity(`${field.title}.`)
}

const EditSecret = ({ secret, onClose }: { secret: SecretListed; onClose: () => void }) => (
  <Dialog
    title={`New value of ${secret.name}`}
    submit="Rotate"
    onClose={onClose}
    act={(form) => updateSecret(secret.id, form.get('value') as string)}
  >
    <p class="dim">
      Running agents of {secret.environment} that support rotation get it at once; calls in progress keep the old value.
    </p>
    <Value label="New value" />
  </Dialog>
)

function DeleteSecret({ secret, onClose }: { secret: SecretListed; onClose: () => void }) {
  const typed = useSignal('')
  return (
    <Dialog
      title={`Delete ${secret.name}`}
      submit="Delete"
      isDanger
      isReady={typed.value === secret.name}
      onClose={onClose}
      act={() => deleteSecret(secret.id)}
    >
      <p class="dim">New agents won’t receive it. You can restore it later.</p>
      <label>
        <span>
          Type <code>{secret.name}</code> to delete it
        </span>
        <input
          autocomplete="off"
          spellcheck={false}
          value={typed.value}
          onInput={({ currentTarget }) => {
            typed.value = currentTarget.value
          }}
        />
      </label>
    </Dialog>
  )
}

/** Never prefilled, not stored by the browser. */
const Value = ({ label }: { label: string }) => (
  <label>
    {label}
    <input name="value" type="password" required autocomplete="new-password" spellcheck={false} />
  </label>
)

function lastRotation(secrets: readonly SecretListed[], nowMs: number): string {
  const last = secrets
    .flatMap(({ rotated_at }) => rotated_at ?? [])
    .sort()
    .at(-1)
  return last ? ` · last rotation ${ago(last, nowMs)}` : ''
}
