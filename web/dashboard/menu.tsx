/** The menu: every page, every agent and every setting of the screen, found by typing. */
import { useSignal } from '@preact/signals'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { agentAddress, reportAddress } from '../address.ts'
import { isAdmin, signOut } from '../session.ts'
import { agents } from '../store.ts'
import { setTheme, THEMES, theme } from '../theme.ts'
import './menu.css'

interface Entry {
  label: string
  /** Shown behind it: a key, or its group. */
  hint?: string
  act: () => void
}

const MAX_ENTRIES = 60

export function Menu({
  currentId,
  onPresent,
  onClose,
}: {
  currentId?: string
  onPresent: () => void
  onClose: () => void
}) {
  const dialog = useRef<HTMLDialogElement>(null)
  const text = useSignal('')
  const chosen = useSignal(0)
  useLayoutEffect(() => dialog.current?.showModal(), [])
  const words = text.value.trim().toLowerCase().split(/\s+/)
  const entries = [...pages(currentId), ...screenEntries(onPresent), ...agentEntries()]
    .filter(({ label, hint }) => words.every((word) => `${label} ${hint ?? ''}`.toLowerCase().includes(word)))
    .slice(0, MAX_ENTRIES)
  const at = Math.min(chosen.value, entries.length - 1)
  const run = (entry: Entry | undefined) => {
    if (!entry) return
    onClose()
    entry.act()
  }
  const press = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step) chosen.value = (at + step + entries.length) % Math.max(1, entries.length)
    else if (event.key === 'Enter') run(entries[at])
    else return
    event.preventDefault()
    dialog.current?.querySelectorAll('[role=option]')[chosen.value]?.scrollIntoView({ block: 'nearest' })
  }
  return (
    <dialog ref={dialog} class="ask menu" aria-label="Menu" onClose={onClose}>
      <input
        type="text"
        role="combobox"
        aria-label="Go to or do"
        aria-expanded="true"
        aria-controls="menu-entries"
        aria-activedescendant={entries[at] && `menu-${at}`}
        placeholder="Go to a page, an agent …"
        value={text.value}
        onInput={({ currentTarget }) => {
          text.value = currentTarget.value
          chosen.value = 0
        }}
        onKeyDown={press}
      />
      <div class="entries" id="menu-entries" role="listbox" aria-label="Entries">
        {entries.map((entry, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the input above has the keys of the whole list.
          <div
            key={`${entry.label} ${entry.hint}`}
            id={`menu-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === at}
            onClick={() => run(entry)}
          >
            {entry.label} <span class="dim">{entry.hint}</span>
          </div>
        ))}
      </div>
      {entries.length === 0 && <p class="dim">No page and no agent is called “{text.value}”.</p>}
    </dialog>
  )
}

const link = (label: string, href: string, hint?: string): Entry => ({
  label,
  ...(hint && { hint }),
  act: () => location.assign(href),
})

const pages = (currentId: string | undefined): Entry[] => [
  link('All agents', '#/'),
  link('Calls', '#/calls'),
  link('Runs', '#/runs', 'history, compare'),
  link('Incidents', '#/incidents', 'try the redaction'),
  ...(isAdmin.value
    ? [
        link('Audit log', '#/audit'),
        link('Settings', '#/settings', 'budgets, users, tokens, prices'),
        link('Booth', '#/booth', 'four promises, live'),
      ]
    : []),
  ...(currentId ? [link('Report', reportAddress(currentId), 'of this agent')] : []),
  link('API reference', '#/api'),
]

const screenEntries = (onPresent: () => void): Entry[] => [
  ...THEMES.map((name) => ({
    label: `Theme: ${name}`,
    ...(theme.value === name && { hint: 'now' }),
    act: () => setTheme(name),
  })),
  { label: 'Present', hint: 'p', act: onPresent },
  { label: 'Search the event log', hint: '/', act: () => document.getElementById('search')?.focus() },
  { label: 'Sign out', act: () => void signOut().catch(() => {}) },
]

const agentEntries = (): Entry[] => agents.value.map(({ id, name }) => link(name, agentAddress(id), id))
