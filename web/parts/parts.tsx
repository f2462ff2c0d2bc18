/** Small components that more than one panel uses. */
import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { showAge } from '../../src/core/units.ts'
import { ApiError, isAdmin } from '../session.ts'
import './parts.css'

export type Tone = 'ok' | 'warn' | 'bad' | 'info' | 'off'

/** A word with a mark: color is never the only sign. */
export const Tag = ({ tone, mark, children }: { tone: Tone; mark?: string; children: ComponentChildren }) => (
  <span class={`tag ${tone}`}>
    {mark && <span aria-hidden="true">{mark} </span>}
    {children}
  </span>
)

export const Panel = (props: {
  name: string
  title: string
  aside?: ComponentChildren
  class?: string
  children: ComponentChildren
}) => (
  <section class={`panel ${props.name} ${props.class ?? ''}`} aria-labelledby={`${props.name}-title`}>
    <header>
      <h2 id={`${props.name}-title`}>{props.title}</h2>
      <span class="aside">{props.aside}</span>
    </header>
    {props.children}
  </section>
)

export const Row = ({ label, children }: { label: ComponentChildren; children: ComponentChildren }) => (
  <div class="row">
    <span class="label">{label}</span>
    <span class="value">{children}</span>
  </div>
)

interface ActionProps {
  label: string
  /** For a screen reader, where the label alone is not enough. */
  title?: string
  act: () => Promise<unknown>
  kind?: 'primary' | 'ghost' | 'danger'
  confirm?: string
  disabled?: boolean
  /** After it succeeded it stays disabled, as long as it is shown. */
  once?: boolean
}

/** An `Action` that the server allows to admins only: viewers do not see it. */
export const AdminAction = (props: ActionProps) => (isAdmin.value ? <Action {...props} /> : null)

/**
 * A button that calls the server: it shows that it is waiting, and why it failed. With `confirm`, it needs a second
 * press within a few seconds.
 */
export function Action(props: ActionProps) {
  const state = useSignal<'idle' | 'asking' | 'waiting'>('idle')
  const fault = useSignal<string | null>(null)
  const press = async () => {
    if (props.confirm && state.value === 'idle') {
      state.value = 'asking'
      setTimeout(() => {
        if (state.value === 'asking') state.value = 'idle'
      }, CONFIRM_MS)
      return
    }
    state.value = 'waiting'
    fault.value = null
    try {
      await props.act()
      if (props.once) return
    } catch (error) {
      fault.value = faultText(error)
    }
    state.value = 'idle'
  }
  const label = state.value === 'asking' ? props.confirm : state.value === 'waiting' ? `${props.label} …` : props.label
  return (
    <>
      <button
        type="button"
        class={`btn ${state.value === 'asking' ? 'danger' : (props.kind ?? '')}`}
        aria-label={state.value === 'idle' ? props.title : undefined}
        disabled={props.disabled || state.value === 'waiting'}
        onClick={press}
      >
        {label}
      </button>
      <Fault text={fault.value} />
    </>
  )
}

const CONFIRM_MS = 4_000

/** Why something failed; nothing for null. */
export const Fault = ({ text }: { text: string | null }) =>
  text && (
    <span class="fault" role="alert">
      {text}
    </span>
  )

/** An error message for people, with what to do next. */
export function faultText(error: unknown): string {
  if (error instanceof ApiError) return [error.message, capitalized(error.hint)].filter(Boolean).join('. ')
  // What `fetch` throws without a server.
  return error instanceof TypeError ? 'The server does not answer.' : String(error)
}

const capitalized = (sentence: string): string => sentence.slice(0, 1).toUpperCase() + sentence.slice(1)

/** "12 s ago", from server time. */
export const ago = (at: string, nowMs: number): string => showAge(nowMs - Date.parse(at))

/** Local wall time of an event. */
export const clockTime = (at: string): string => new Date(at).toLocaleTimeString('en-GB')

/** Local day and time: "14:23:45", with "Nov 22" before it unless that is today. */
export function dayAndTime(at: string): string {
  const date = new Date(at)
  if (date.toDateString() === new Date().toDateString()) return clockTime(at)
  return `${date.toLocaleDateString('en-US', { month: 'short', day: 'numeric' })} ${clockTime(at)}`
}

/** The logo. */
export const Mark = () => (
  <svg class="mark" viewBox="0 0 26 26" aria-hidden="true">
    <path d="M4 11C4 6 8 2.8 13 2.8S22 6 22 11v11.2H4zM9 6v16M13 3v19M17 6v16M4 16h18" />
  </svg>
)

/** Replaces everything else on the screen. */
export const Empty = ({ title, children }: { title: string; children?: ComponentChildren }) => (
  <div class="nothing">
    <h2>{title}</h2>
    {children}
  </div>
)
