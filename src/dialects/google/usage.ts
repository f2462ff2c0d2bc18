/** Usage as Google reports it. */
import { type ReportedUsage, tokenCount } from '../dialect.ts'
import { isObject, type Json } from '../json.ts'
import { tierTerms, UsageReader } from '../usage.ts'

/** `hasOutput`: it counts an answer, not embeddings. */
export function readGoogleUsage(metadata: Json | undefined, hasOutput = true): ReportedUsage | undefined {
  if (!isObject(metadata)) return undefined
  const read = new UsageReader(metadata)
  const prompt = read.find('promptTokenCount')
  if (prompt === undefined) return undefined
  const answer = read.find('candidatesTokenCount')
  const thoughts = read.count('thoughtsTokenCount')
  const total = read.count('totalTokenCount')
  // The results of the provider's own tools, in addition to the prompt.
  const results = read.count('toolUsePromptTokenCount')
  const cached = read.count('cachedContentTokenCount')
  const isAbsurd = cached > prompt
  // An answer that was blocked or only thought about has no output count. Early models count thoughts in the answer.
  const isInAnswer = thoughts <= (answer ?? 0) && total === prompt + results + (answer ?? 0)
  const output = (answer ?? 0) + (isInAnswer ? 0 : thoughts)
  const { audio: audioInput } = byModality(metadata.promptTokensDetails)
  const { audio: audioOutput, image: imageOutput } = byModality(metadata.candidatesTokensDetails)
  const terms = [...tierTerms(lower(metadata.serviceTier)), ...tierTerms(trafficOf(metadata.trafficType))]
  return {
    usage: {
      input: prompt + results,
      cachedInput: isAbsurd ? 0 : cached,
      cacheWrite: 0,
      cacheWriteHour: 0,
      output,
      ...(audioInput > 0 && { audioInput }),
      ...(audioOutput > 0 && { audioOutput }),
      ...(hasOutput && { imageOutput }),
      ...read.beyond(prompt + results + output, total),
      ...(terms.length > 0 && { terms }),
    },
    isFinal: true,
    isRepaired: read.isRepaired || isAbsurd,
  }
}

const lower = (tier: Json | undefined): Json | undefined => (typeof tier === 'string' ? tier.toLowerCase() : tier)

/** The usual traffic is on demand; other kinds have prices of their own. */
const trafficOf = (type: Json | undefined): Json | undefined =>
  type === 'ON_DEMAND' || type === 'TRAFFIC_TYPE_UNSPECIFIED' ? undefined : lower(type)

function byModality(details: Json | undefined): { audio: number; image: number } {
  const counts = { audio: 0, image: 0 }
  for (const detail of Array.isArray(details) ? details : []) {
    if (!isObject(detail)) continue
    const count = tokenCount(detail.tokenCount) ?? 0
    if (detail.modality === 'AUDIO') counts.audio += count
    if (detail.modality === 'IMAGE' || detail.modality === 'VIDEO') counts.image += count
  }
  return counts
}
