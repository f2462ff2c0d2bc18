/** Fields of Bedrock's Converse API, and of Anthropic's Messages API, which it passes on. */
import { fields as ofAnthropic } from '../anthropic/fields.ts'
import type { Fields } from '../texts.ts'

export const fields: Fields = {
  names: new Set([
    ...ofAnthropic.names,
    ...`output stopReason usage inputTokens outputTokens totalTokens cacheReadInputTokens cacheWriteInputTokens
    cacheDetails metrics latencyMs additionalModelResponseFields trace performanceConfig latency serviceTier
    contentBlockIndex start delta toolUse toolUseId toolResult reasoningContent reasoningText redactedContent
    citationsContent image document video format source bytes json status cachePoint guardContent inferenceConfig
    maxTokens stopSequences temperature topP toolConfig tools toolSpec inputSchema toolChoice auto any
    additionalModelRequestFields requestMetadata inputTokenCount outputTokenCount invocationLatency firstByteLatency
    amazon-bedrock-invocationMetrics anthropic_version anthropic_beta`.split(/\s+/),
  ]),
  opaque: {
    ...ofAnthropic.opaque,
    toolUseId: 'word',
    stopReason: 'word',
    format: 'word',
    status: 'word',
    latency: 'word',
    redactedContent: 'sealed',
    bytes: 'media',
  },
  tools: ofAnthropic.tools,
}
