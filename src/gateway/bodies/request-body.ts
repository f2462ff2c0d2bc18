/** The body of a request, parsed on this thread or, when large, processed by a thread of its own. */
import { countTokens } from '../../budget/tokenizer.ts'
import { withoutImages } from '../../dialects/demands.ts'
import type { Dialect, Format, Limits } from '../../dialects/dialect.ts'
import type { DialectName } from '../../dialects/dialects.ts'
import { isUnambiguous, type JsonObject, parseBody } from '../../dialects/json.ts'
import type { Finding } from '../../redaction/match.ts'
import type { RedactorSettings } from '../../redaction/redactor.ts'
import { type CallFacts, type ModelNaming, readFacts } from '../call-facts.ts'
import type { CallRedactor } from '../call-redactor.ts'
import { parseTextWithoutTokens } from '../own-tokens.ts'
import { free, LARGE_BYTES } from './bytes.ts'
import type { LargeBodies, WorkFor } from './large-bodies.ts'
import type { FormatName } from './large-work.ts'

type MaybePromise<T> = T | Promise<T>

export interface RequestBody {
  /** Returns the same body for another model, with its facts for that model. */
  withModel(format: Format, model: string): MaybePromise<CallFacts & { body: RequestBody }>
  /** Returns the body redacted by the policy. */
  redacted(redactor: CallRedactor, dialect: Dialect, settings: RedactorSettings): MaybePromise<RequestBody>
  /**
   * Returns the body to send; with a format, the limits are written into it. (Default: no limits.) Free it with
   * `freeSent`: a small one may be returned again.
   */
  write(format?: Format, limits?: Limits): MaybePromise<string | Buffer>
  /** Returns the text to count tokens of; null if there is no exact count. */
  text(format: Format): (() => MaybePromise<string>) | null
  /** Counts the tokens of the whole body; undefined if that would take too long. */
  tokens(model: string): Promise<number | undefined>
  /** Releases the memory. */
  free(): void
}

/** A request that was read: its body, its facts if a format was given, and which of our own tokens were in it. */
export interface ReadRequest {
  body: RequestBody
  facts: CallFacts | undefined
  findings: Finding[]
}

/** Throws CageError `bad_request`, `price_unknown`, and for a large body `body_too_large`. */
export async function readRequest(
  large: LargeBodies,
  bytes: Buffer,
  { dialect, format, naming, ...work }: WorkFor & { dialect: Dialect; format: Format | undefined; naming: ModelNaming },
): Promise<ReadRequest> {
  if (bytes.length < LARGE_BYTES) {
    const text = bytes.toString('utf8')
    const { value, safe, findings } = parseTextWithoutTokens(bytes, text, parseBody)
    const isSent = safe === undefined && isUnambiguous(bytes, text, value)
    const body = new ParsedBody(value, isSent ? bytes : undefined)
    return { body, facts: format && readFacts(format, value, naming), findings }
  }
  const named = format && { dialect: dialect.name as DialectName, format: format.name }
  const read = await large.run('readRequest', { bytes, model: undefined, format: named, naming }, work)
  return { ...read, body: new LargeBody(large, dialect, work, read.bytes, undefined) }
}

/** The model that a fallback names is the one that answers. */
const AS_NAMED: ModelNaming = { named: undefined, models: {} }

class ParsedBody implements RequestBody {
  readonly #value: JsonObject
  /** The bytes it was read from, if they may be sent as they are. */
  readonly #bytes: Buffer | undefined

  constructor(value: JsonObject, bytes?: Buffer) {
    this.#value = value
    this.#bytes = bytes
  }

  withModel(format: Format, model: string): CallFacts & { body: RequestBody } {
    const value = { ...this.#value, model }
    return { ...readFacts(format, value, AS_NAMED), body: new ParsedBody(value) }
  }

  redacted(redactor: CallRedactor, dialect: Dialect): RequestBody {
    const safe = redactor.request(this.#value, dialect)
    return safe === this.#value ? this : new ParsedBody(safe)
  }

  write(format?: Format, limits?: Limits): string | Buffer {
    const sent = format && limits ? format.prepare(this.#value, limits) : this.#value
    const added = this.#bytes && addedFields(this.#value, sent)
    return added ? withFields(this.#bytes!, added) : JSON.stringify(sent)
  }

  text(format: Format): (() => string) | null {
    return format.textOf ? () => format.textOf!(this.#value) : null
  }

  tokens(model: string): Promise<number> {
    return countTokens(withoutImages(this.#value), model)
  }

  free(): void {}
}

/** Returns the fields that `prepare` added to a body, as JSON; undefined if it changed one that was there. */
function addedFields(body: JsonObject, prepared: JsonObject): string[] | undefined {
  const added: string[] = []
  for (const name in prepared) {
    const [field, before] = [prepared[name], body[name]]
    if (field === before) continue
    const json = JSON.stringify(field)
    if (before === undefined) added.push(`,${JSON.stringify(name)}:${json}`)
    else if (json !== JSON.stringify(before)) return undefined
  }
  return added
}

/** Returns the bytes of an object, which is not empty, with more fields at its end. */
function withFields(bytes: Buffer, fields: readonly string[]): Buffer {
  if (fields.length === 0) return bytes
  return Buffer.concat([bytes.subarray(0, bytes.lastIndexOf('}')), Buffer.from(`${fields.join('')}}`)])
}

/** The bytes move to a thread and back with each piece of work; only one side has them at a time. */
class LargeBody implements RequestBody {
  readonly #large: LargeBodies
  readonly #dialect: Dialect
  readonly #work: WorkFor
  readonly #model: string | undefined
  #bytes: Buffer

  constructor(large: LargeBodies, dialect: Dialect, work: WorkFor, bytes: Buffer, model: string | undefined) {
    this.#large = large
    this.#dialect = dialect
    this.#work = work
    this.#bytes = bytes
    this.#model = model
  }

  async withModel(format: Format, model: string): Promise<CallFacts & { body: RequestBody }> {
    const { bytes, facts } = await this.#large.run(
      'readRequest',
      { ...this.#of(model), format: this.#name(format), naming: AS_NAMED },
      this.#work,
    )
    return { ...facts!, body: new LargeBody(this.#large, this.#dialect, this.#work, bytes, model) }
  }

  async redacted(redactor: CallRedactor, { name }: Dialect, settings: RedactorSettings): Promise<RequestBody> {
    const args = { bytes: this.#bytes, dialect: name as DialectName, settings }
    const { bytes, found } = await this.#large.run('redactRequest', args, this.#work)
    await redactor.take(found)
    this.#bytes = bytes
    return this
  }

  async write(format?: Format, limits?: Limits): Promise<Buffer> {
    const into = format && limits && { format: this.#name(format), limits }
    const { bytes, written } = await this.#large.run('writeRequest', { ...this.#of(this.#model), into }, this.#work)
    this.#bytes = bytes
    return written
  }

  text(format: Format): (() => Promise<string>) | null {
    if (!format.textOf) return null
    return async () => {
      const args = { ...this.#of(this.#model), format: this.#name(format) }
      const { bytes, text } = await this.#large.run('textOf', args, this.#work)
      this.#bytes = bytes
      return text
    }
  }

  tokens(): Promise<undefined> {
    return Promise.resolve(undefined)
  }

  free(): void {
    free(this.#bytes)
  }

  #of(model: string | undefined) {
    return { bytes: this.#bytes, model }
  }

  #name(format: Format): FormatName {
    return { dialect: this.#dialect.name as DialectName, format: format.name }
  }
}
