/** The ledger of `ideal.ts`: a row held before a call, charged after it with an event; calls of one turn share a commit. */
import Sqlite from 'better-sqlite3'

type Write = () => number | bigint

export interface IdealLedger {
  hold(model: string): Promise<number | bigint>
  charge(row: number | bigint, usage: unknown): Promise<number | bigint>
}

export function openIdealLedger(path: string): IdealLedger {
  const database = new Sqlite(path)
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = NORMAL')
  database.exec(`
    CREATE TABLE calls (n INTEGER PRIMARY KEY, id TEXT, agent TEXT, target TEXT, model TEXT, state TEXT, held INT,
      cost INT, usage TEXT, at TEXT, ended TEXT) STRICT;
    CREATE TABLE events (seq INTEGER PRIMARY KEY, at TEXT, agent TEXT, type TEXT, data TEXT) STRICT`)
  const insert = database.prepare(
    `INSERT INTO calls (id, agent, target, model, state, held, at) VALUES (?, 'a-1', 'openai', ?, 'held', 1000, ?)`,
  )
  const update = database.prepare(`UPDATE calls SET state = 'charged', cost = 500, usage = ?, ended = ? WHERE n = ?`)
  const event = database.prepare(`INSERT INTO events (at, agent, type, data) VALUES (?, 'a-1', 'call.completed', ?)`)
  const commit = database.transaction((writes: Write[]) => writes.map((write) => write()))

  let waiting: { write: Write; resolve: (result: number | bigint) => void }[] = []
  const flush = () => {
    const shares = waiting
    waiting = []
    const results = commit.immediate(shares.map(({ write }) => write))
    for (const [index, { resolve }] of shares.entries()) resolve(results[index]!)
  }
  const groupCommit = (write: Write) =>
    new Promise<number | bigint>((resolve) => {
      if (waiting.push({ write, resolve }) === 1) setImmediate(flush)
    })

  return {
    hold: (model) =>
      groupCommit(() => {
        const id = `call-${Math.random().toString(36).slice(2)}`
        return insert.run(id, model, new Date().toISOString()).lastInsertRowid
      }),
    charge: (row, usage) =>
      groupCommit(() => {
        const at = new Date().toISOString()
        update.run(JSON.stringify(usage), at, row)
        return event.run(at, JSON.stringify({ call_id: String(row), usage, cost: '0.001', latency: 3 })).changes
      }),
  }
}
