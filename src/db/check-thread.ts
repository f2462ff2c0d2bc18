/** The thread that checks the structure of a large database file: one answer, SQLite's own words. */
import { parentPort, workerData } from 'node:worker_threads'
import Sqlite from 'better-sqlite3'

const client = new Sqlite(workerData as string, { readonly: true })
parentPort!.postMessage(client.pragma('quick_check(1)', { simple: true }))
client.close()
