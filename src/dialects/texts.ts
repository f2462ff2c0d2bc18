/** JSON with every text in it changed; the names of fields stay. A number is changed when its digits are. */
export function changeTexts<T>(value: T, change: (text: string) => string): T {
  return changed(value, change) as T
}

function changed(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value)
  if (typeof value === 'number') {
    const text = String(value)
    const safe = change(text)
    return safe === text ? value : safe
  }
  if (Array.isArray(value)) return value.map((item) => changed(item, change))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, changed(item, change)]))
}
