/**
 * The part of the chain that is stored outside the database: its key (`<database>.audit-key`) and its head
 * (`<database>.audit-head`), both for this user only.
 *
 * The rules are:
 * - The head may lag behind the table, never lead: it is written after the rows are committed and their bytes are on the
 *   disk. Rows of the last second before a kill are in the chain but not in the head, so the loss of just those rows
 *   could not be distinguished from a kill a moment earlier. Nothing else is lost.
 * - It is written a second after the first new row: one write for however many rows. It stays the same file, which the
 *   walls hide from agents that may write in its folder, and always has the same length: a write of less than a sector
 *   is done whole or not at all, and a reader of that moment reads again.
 * - The head has a MAC, which cannot be made without the key.
 * - The head file is made before the key file, so that a key without a head means that the head was removed.
 */

import { createHmac, createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto'
import { closeSync, constants, fdatasyncSync, openSync, readFileSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Clock, Timer } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import { auditHeadPath, auditKeyPath, createOwnFile, walPath } from '../db/files.ts'
import { BEGINNING, type Head } from './hash.ts'

const WRITE_AFTER_MS = 1_000
/** Less than a sector; a sequence number of sixteen digits fits. */
const HEAD_BYTES = 256
/** A head that is read during a write has a MAC that does not fit. */
const MAX_READS = 5

export interface AnchorSource {
  /** Reads the current head from the table. */
  read: () => Head
  onFault: (error: unknown, what: string) => void
  clock: Clock
}

/** The key and the witnessed head of a chain; `head` is null when its file is gone or is not of this key. */
export interface Witness {
  /** A KeyObject: made once, it hashes seven times as fast as bytes. */
  readonly key: KeyObject
  readonly witnessed: Head | null
}

export class Anchor implements Witness {
  readonly key: KeyObject
  readonly #databasePath: string
  readonly #path: string
  readonly #source: AnchorSource
  #witnessed: Head | null
  #timer: Timer | undefined
  #writing: Promise<void> | undefined
  #isFrozen = false

  /** Creates key and head of a new audit. Throws CageError `audit_broken` when the audit has rows but no key. */
  static open(databasePath: string, hasBegun: boolean, source: AnchorSource): Anchor {
    const key = readKey(databasePath)
    if (key) return new Anchor(databasePath, key, readHead(databasePath, key), source)
    if (hasBegun) throw keyMissing(databasePath)
    const bytes = randomBytes(32)
    const made = createSecretKey(bytes)
    createOwnFile(auditHeadPath(databasePath), headText(made, BEGINNING), 'w')
    createOwnFile(auditKeyPath(databasePath), `${bytes.toString('base64')}\n`)
    return new Anchor(databasePath, made, BEGINNING, source)
  }

  private constructor(databasePath: string, key: KeyObject, witnessed: Head | null, source: AnchorSource) {
    this.key = key
    this.#databasePath = databasePath
    this.#path = auditHeadPath(databasePath)
    this.#witnessed = witnessed
    this.#source = source
  }

  get witnessed(): Head | null {
    return this.#witnessed
  }

  /** Called after a row was appended. */
  moved(): void {
    if (this.#isFrozen || this.#timer) return
    this.#timer = this.#source.clock
      .after(WRITE_AFTER_MS, () => {
        this.#timer = undefined
        if (this.#writing) this.moved()
        else this.#writing = this.#write()
      })
      .unref()
  }

  /** The chain is broken: the witnessed head stays. False when it was frozen before. */
  freeze(): boolean {
    const wasFrozen = this.#isFrozen
    this.#isFrozen = true
    this.#timer?.cancel()
    this.#timer = undefined
    return !wasFrozen
  }

  /** Writes the final head. Synchronous, unless a write is in progress, which must not overtake it. */
  async close(): Promise<void> {
    this.#timer?.cancel()
    if (this.#writing) await this.#writing
    this.#timer?.cancel()
    if (this.#isFrozen) return
    this.#isFrozen = true
    try {
      const head = this.#source.read()
      if (head.seq === this.#witnessed?.seq) return
      // The database is closed next, which syncs it to the disk.
      writeInPlace(this.#path, headText(this.key, head), { flush: true })
    } catch (error) {
      this.#source.onFault(error, 'cannot write the head of the audit')
    }
  }

  /** Never rejects. */
  async #write(): Promise<void> {
    try {
      const head = this.#source.read()
      await flush(walPath(this.#databasePath))
      if (this.#isFrozen) return
      writeInPlace(this.#path, headText(this.key, head), { flush: false })
      this.#witnessed = head
    } catch (error) {
      this.#source.onFault(error, 'cannot write the head of the audit')
    } finally {
      this.#writing = undefined
    }
  }
}

/** The witness for verifying a database offline. Throws CageError `audit_broken` when there is no key. */
export function readWitness(databasePath: string): Witness {
  const key = readKey(databasePath)
  if (!key) throw keyMissing(databasePath)
  return { key, witnessed: readHead(databasePath, key) }
}

/** A commit is not yet a sync: after a power cut the head must not be ahead. Without a WAL everything is synced already. */
async function flush(path: string): Promise<void> {
  const file = await open(path, 'r+').catch(() => undefined)
  try {
    await file?.datasync()
  } finally {
    await file?.close()
  }
}

function readKey(databasePath: string): KeyObject | undefined {
  let text: string
  try {
    text = readFileSync(auditKeyPath(databasePath), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const key = Buffer.from(text.trim(), 'base64')
  if (key.length === 32) return createSecretKey(key)
  throw new CageError('audit_broken', `${auditKeyPath(databasePath)} does not hold a key`, { hint: PUT_BACK })
}

const PUT_BACK = 'put the key file back from a backup, or move the database away and begin a new one'

const keyMissing = (databasePath: string): CageError =>
  new CageError('audit_broken', `${databasePath} has an audit, but its key ${auditKeyPath(databasePath)} is gone`, {
    facts: { path: auditKeyPath(databasePath) },
    hint: PUT_BACK,
  })

function readHead(databasePath: string, key: KeyObject): Head | null {
  for (let attempt = 1; ; attempt++) {
    const head = tryReadHead(auditHeadPath(databasePath), key)
    if (head || attempt === MAX_READS) return head
  }
}

function tryReadHead(path: string, key: KeyObject): Head | null {
  try {
    const { seq, hash, mac } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
    if (typeof seq !== 'number' || typeof hash !== 'string' || typeof mac !== 'string') return null
    const head = { seq, hash: Buffer.from(hash, 'hex') }
    const expected = macOf(key, head)
    const given = Buffer.from(mac, 'hex')
    return given.length === expected.length && timingSafeEqual(given, expected) ? head : null
  } catch {
    return null
  }
}

/** Makes the file where it is gone. Without `flush` it is short enough for the event loop. */
function writeInPlace(path: string, text: string, { flush }: { flush: boolean }): void {
  const file = openSync(path, constants.O_WRONLY | constants.O_CREAT, 0o600)
  try {
    writeSync(file, text, 0)
    if (flush) fdatasyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** JSON may end with spaces. */
const headText = (key: KeyObject, { seq, hash }: Head): string =>
  `${JSON.stringify({ seq, hash: hash.toString('hex'), mac: macOf(key, { seq, hash }).toString('hex') }).padEnd(HEAD_BYTES - 1)}\n`

const macOf = (key: KeyObject, { seq, hash }: Head): Buffer =>
  createHmac('sha256', key)
    .update(`iron-cage audit head 1\n${seq}\n${hash.toString('hex')}`)
    .digest()
