/** Fields of Google's Gemini API. */
import type { Fields } from '../texts.ts'

export const fields: Fields = {
  names: new Set(
    `candidates content parts role text thought thoughtSignature functionCall functionResponse name args id response
    inlineData mimeType data fileData fileUri executableCode language code codeExecutionResult outcome output
    finishReason finishMessage index safetyRatings category probability blocked citationMetadata citationSources
    startIndex endIndex uri license tokenCount avgLogprobs logprobsResult topCandidates chosenCandidates token tokenId
    logProbability groundingMetadata groundingChunks web title groundingSupports segment partIndex webSearchQueries
    searchEntryPoint renderedContent retrievalMetadata urlContextMetadata promptFeedback blockReason usageMetadata
    promptTokenCount cachedContentTokenCount candidatesTokenCount thoughtsTokenCount toolUsePromptTokenCount
    totalTokenCount promptTokensDetails cacheTokensDetails candidatesTokensDetails toolUsePromptTokensDetails modality
    modelVersion responseId createTime trafficType serviceTier embedding embeddings values error message status details
    contents systemInstruction tools toolConfig generationConfig safetySettings threshold cachedContent labels
    functionDeclarations description parameters parametersJsonSchema properties required items enum type
    functionCallingConfig mode allowedFunctionNames temperature topP topK candidateCount maxOutputTokens stopSequences
    responseMimeType responseSchema responseJsonSchema responseModalities thinkingConfig includeThoughts thinkingBudget
    thinkingLevel seed presencePenalty frequencyPenalty responseLogprobs logprobs requests model taskType
    outputDimensionality models nextPageToken`.split(/\s+/),
  ),
  opaque: {
    id: 'word',
    role: 'word',
    name: 'word',
    model: 'word',
    mimeType: 'word',
    finishReason: 'word',
    blockReason: 'word',
    category: 'word',
    probability: 'word',
    modality: 'word',
    modelVersion: 'word',
    responseId: 'word',
    createTime: 'word',
    trafficType: 'word',
    serviceTier: 'word',
    language: 'word',
    outcome: 'word',
    status: 'word',
    thoughtSignature: 'sealed',
    thought_signature: 'sealed',
    data: 'media',
  },
  tools: new Set(['args', 'code']),
}
