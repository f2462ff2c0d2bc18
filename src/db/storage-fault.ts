/** True for faults of the disk or of another program's lock, which pass by themselves; false for our own mistakes. */
export function isStorageFault(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code
  return (
    typeof code === 'string' && /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|NOMEM|CORRUPT|NOTADB)/.test(code)
  )
}
