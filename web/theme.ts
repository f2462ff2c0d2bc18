/** Dark, light, or as the system has it; kept in this browser. */
import { signal } from '@preact/signals'

export const THEMES = ['system', 'dark', 'light'] as const
export type Theme = (typeof THEMES)[number]

const KEY = 'iron-cage-theme'
export const theme = signal<Theme>('system')

/** Applies the theme that was chosen in this browser. */
export function restoreTheme(): void {
  const chosen = localStorage.getItem(KEY)
  setTheme(THEMES.find((one) => one === chosen) ?? 'system')
}

/** Applies the theme to the page and keeps it. */
export function setTheme(next: Theme): void {
  theme.value = next
  localStorage.setItem(KEY, next)
  document.documentElement.dataset.theme = next
}
