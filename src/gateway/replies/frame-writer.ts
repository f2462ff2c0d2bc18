/** Writes the frames of a stream to the client, large ones in pieces, and comments while there is nothing else to write. */
import type { Clock, Timer } from '../../core/clock.ts'
import type { Sse } from '../../dialects/dialect.ts'
import { encoded, piecesOf } from '../bodies/bytes.ts'
import type { Cuts } from '../bodies/cut-texts.ts'
import type { ClientConnection } from '../provider/client.ts'
import type { Encoder, Framing } from './frames.ts'

/**
 * How long nothing is written before a comment is, in ms, at most twice: clients and proxies give up on a connection that
 * is silent, while a model thinks or a text is held back.
 */
const KEEP_ALIVE_MS = 1_000

/** A large frame without the parts cut out of its texts. */
export interface LargeFrame extends Sse {
  large: {
    /** The frame as it came. */
    came: Sse
    /** Its data without those parts. */
    data: string
    /** Something in it was redacted. */
    isChanged: boolean
    cuts: Cuts
  }
}

/** How frames are written. */
export interface Writing {
  /** As the provider writes them. */
  framing: Framing
  encoder: Encoder
  /** Begins the response, unless it has begun. */
  begin: () => void
  /** The client's reader ignores comments. */
  keepsAlive: boolean
  clock: Clock
}

export class FrameWriter implements Disposable {
  readonly #how: Writing
  readonly #client: Pick<ClientConnection, 'write'>
  #isWriting = false
  #hasWritten = true
  #timer: Timer | undefined

  constructor(how: Writing, client: Pick<ClientConnection, 'write'>) {
    this.#how = how
    this.#client = client
    if (how.keepsAlive && how.framing.comment !== undefined) this.#wait()
  }

  async write(frames: readonly Sse[]): Promise<void> {
    if (frames.length === 0) return
    this.#isWriting = true
    try {
      let small: Sse[] = []
      for (const frame of frames) {
        if (!isLarge(frame)) small.push(frame)
        else {
          await this.#writeSmall(small)
          small = []
          await this.#writeLarge(frame)
        }
      }
      await this.#writeSmall(small)
    } finally {
      this.#isWriting = false
    }
  }

  /** Writes a comment as it came; one that was redacted is left out. */
  async writeNote(note: Sse): Promise<void> {
    if (note.source !== undefined) await this.#send(this.#how.encoder.frames([note]))
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel()
  }

  async #writeSmall(frames: readonly Sse[]): Promise<void> {
    if (frames.length > 0) await this.#send(this.#how.encoder.frames(frames))
  }

  async #writeLarge(frame: LargeFrame): Promise<void> {
    const { came, data, isChanged, cuts } = frame.large
    const isAsItCame = !isChanged && frame.data === data && frame.source === came.source
    const text = this.#how.encoder.frames([isAsItCame ? { ...came, event: frame.event } : frame])
    const pieces = isAsItCame ? piecesOf(encoded(String(text))) : cuts.piecesOf(String(text))
    try {
      for await (const piece of pieces) await this.#send(piece)
    } finally {
      cuts.free()
    }
  }

  async #send(piece: string | Buffer): Promise<void> {
    this.#how.begin()
    this.#hasWritten = true
    await this.#client.write(piece)
  }

  #wait(): void {
    this.#timer = this.#how.clock
      .after(KEEP_ALIVE_MS, () => {
        // Whoever writes next learns that the client left.
        if (!this.#hasWritten && !this.#isWriting) void this.#send(this.#how.framing.comment!).catch(() => undefined)
        else this.#hasWritten = false
        this.#wait()
      })
      .unref()
  }
}

const isLarge = (frame: Sse): frame is LargeFrame => 'large' in frame
