/** Finds which model a streamed response names. */
import type { StreamReader } from '../dialects/dialect.ts'

/** Wraps a reader; calls `onNamed` once, with the first model that a frame names. */
export function watchModel(reader: StreamReader, onNamed: (model: string) => void): StreamReader {
  let isNamed = false
  return {
    read: (frame) => {
      const name = isNamed ? undefined : MODEL_IN_FRAME.exec(frame.data)?.[1]
      if (name !== undefined) {
        isNamed = true
        onNamed(name)
      }
      return reader.read(frame)
    },
    usage: () => reader.usage(),
    get isFinished() {
      return reader.isFinished
    },
    get deliveredText() {
      return reader.deliveredText
    },
  }
}

/** Also matches within the response or message of a first event. */
const MODEL_IN_FRAME = /^[^[]{0,2000}?"model"\s*:\s*"([^"\\]{1,200})"/
