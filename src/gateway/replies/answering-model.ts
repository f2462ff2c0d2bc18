/** Finds which model a streamed response names. */
import type { StreamReader } from '../../dialects/dialect.ts'

/** Wraps a reader; calls `onNamed` once, with the first model that a frame names. */
export function watchModel(reader: StreamReader, onNamed: (model: string) => void): StreamReader {
  let isNamed = false
  return {
    read: (frame) => {
      const match = isNamed ? null : MODEL_IN_FRAME.exec(frame.data)
      const name = match?.[1] ?? match?.[2]
      if (name !== undefined) {
        isNamed = true
        onNamed(name)
      }
      return reader.read(frame)
    },
    end: () => reader.end(),
    usage: () => reader.usage(),
    get isFinished() {
      return reader.isFinished
    },
    get errorStatus() {
      return reader.errorStatus
    },
    get deliveredText() {
      return reader.deliveredText
    },
  }
}

/** Also matches within the response or message of a first event; Google's name for it follows the text. */
const MODEL_IN_FRAME = /^[^[]{0,2000}?"model"\s*:\s*"([^"\\]{1,200})"|"modelVersion"\s*:\s*"([^"\\]{1,200})"/
