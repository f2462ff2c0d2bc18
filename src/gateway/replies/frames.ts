/** What reads and writes the frames of a stream (`framing.ts`). */
import type { Sse } from '../../dialects/dialect.ts'

export interface Framing {
  /** Its frames have checksums: nothing is cut out of them on another thread. (Default: false.) */
  isBinary?: true
  /** A comment: readers ignore it. (Default: there are none.) */
  comment?: string
  decoder(): Decoder
  encoder(): Encoder
}

/** Reads frames from bytes that are split anywhere, even inside a character or a line ending. */
export interface Decoder {
  /** Returns the frames that are complete; undefined when one is too long. */
  feed(bytes: Uint8Array): Sse[] | undefined
  /** Returns the last frame if what marks its end is missing. */
  end(): Sse[]
}

export interface Encoder {
  frames(frames: readonly Sse[]): string | Buffer
  /** Returns what follows the last frame of a complete stream. */
  end(): string
}

/** Maximum size of a frame. */
export const MAX_FRAME_CHARACTERS = 4 * 1024 * 1024
