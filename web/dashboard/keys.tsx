/** The keyboard: what each key does, and the list of them. */
import { useLayoutEffect } from 'preact/hooks'
import './keys.css'

const KEYS = [
  ['/', 'search the event log'],
  ['p', 'larger type, for a projector'],
  ['⌘K', 'or Ctrl K: the menu, with every page and agent'],
  ['?', 'these keys'],
]

export const Keys = () => (
  <dialog open class="keys" aria-label="Keys">
    {KEYS.map(([key, does]) => (
      <p key={key}>
        <kbd>{key}</kbd> {does}
      </p>
    ))}
    <p>
      <a href="#/api">The API of this server</a>
    </p>
  </dialog>
)

export function useKeys(keys: Record<string, () => void>): void {
  // Immediately after rendering, so that no key press is lost.
  useLayoutEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const isTyping = (event.target as HTMLElement).matches('input, select, textarea')
      const isChord = event.ctrlKey || event.metaKey
      if (event.altKey || (isTyping && !isChord && event.key !== 'Escape')) return
      // A modal dialog receives all keys itself.
      if (document.querySelector(':modal')) return
      const act = keys[isChord ? `mod+${event.key}` : event.key]
      if (!act) return
      event.preventDefault()
      act()
    }
    addEventListener('keydown', listen)
    return () => removeEventListener('keydown', listen)
  }, [])
}
