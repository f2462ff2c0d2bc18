/** Requests as clients send them: text, pictures, recordings, files, tools and their results, in each dialect. */
import type { Json, JsonObject } from '../../../src/dialects/json.ts'
import type { Dice } from '../dice.ts'
import type { AgentRequest, DialectName } from './request.ts'

export const DIALECTS: readonly DialectName[] = ['chat', 'responses', 'anthropic', 'google', 'converse', 'cohere']

const WORDS = 'Read the report about grass in spring and tell me what it says of rain, sun and soil 🌱'.split(' ')
const prose = (dice: Dice, most = 200): string => dice.times(dice.number(1, most), () => dice.pick(WORDS)).join(' ')
const base64 = (dice: Dice, bytes: number): string =>
  Buffer.from(dice.times(bytes, () => dice.number(0, 255))).toString('base64')
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const id = (dice: Dice, prefix: string): string => `${prefix}_${Buffer.from(String(dice.next())).toString('hex')}`
const schema = (dice: Dice): JsonObject => ({
  type: 'object',
  properties: { what: { type: 'string', description: prose(dice, 8) } },
  required: ['what'],
})

export function ordinaryRequest(dice: Dice, dialect: DialectName = dice.pick(DIALECTS)): AgentRequest {
  return { dialect, body: MAKERS[dialect](dice) }
}

const MAKERS: Record<DialectName, (dice: Dice) => JsonObject> = {
  chat: (dice) => ({
    model: 'gpt-4o',
    max_completion_tokens: dice.number(16, 4_000),
    ...(dice.chance(0.1) && { n: dice.number(1, 3) }),
    ...(dice.chance(0.1) && { prediction: { type: 'content', content: prose(dice) } }),
    ...(dice.chance(0.3) && { temperature: dice.next() }),
    ...(dice.chance(0.3) && { metadata: { team: 'grass' }, user: 'user-1' }),
    ...(dice.chance(0.5) && {
      tools: dice.times(dice.number(1, 3), (at) => ({
        type: 'function',
        function: { name: `look_${at}`, description: prose(dice, 20), parameters: schema(dice) },
      })),
    }),
    messages: [
      { role: 'system', content: prose(dice) },
      ...dice.times(dice.number(1, 4), () => chatRound(dice)).flat(),
      { role: 'user', content: dice.times(dice.number(1, 3), () => chatPart(dice)) },
    ],
  }),

  responses: (dice) => ({
    model: 'gpt-4o',
    max_output_tokens: dice.number(16, 4_000),
    ...(dice.chance(0.3) && { instructions: prose(dice) }),
    ...(dice.chance(0.1) && { previous_response_id: id(dice, 'resp') }),
    ...(dice.chance(0.3) && { store: dice.chance(0.5), background: false }),
    ...(dice.chance(0.5) && {
      tools: dice.times(dice.number(1, 3), (at) => ({
        type: 'function',
        name: `look_${at}`,
        description: prose(dice, 20),
        parameters: schema(dice),
      })),
    }),
    input: [
      { role: 'user', content: prose(dice) },
      ...dice.times(dice.number(0, 4), () => responseItems(dice)).flat(),
      { type: 'message', role: 'user', content: dice.times(dice.number(1, 3), () => responsePart(dice)) },
    ],
  }),

  anthropic: (dice) => ({
    model: 'some-model',
    max_tokens: dice.number(16, 4_000),
    ...(dice.chance(0.5) && { system: [{ type: 'text', text: prose(dice), cache_control: { type: 'ephemeral' } }] }),
    ...(dice.chance(0.5) && {
      tools: [
        ...dice.times(dice.number(0, 2), (at) => ({
          name: `look_${at}`,
          description: prose(dice, 20),
          input_schema: schema(dice),
        })),
        ...dice.times(dice.number(0, 1), () =>
          dice.pick([
            { type: 'bash_20250124', name: 'bash' },
            { type: 'text_editor_20250728', name: 'str_replace_based_edit_tool' },
            { type: 'computer_20250124', name: 'computer', display_width_px: 800, display_height_px: 600 },
          ]),
        ),
      ],
    }),
    messages: [
      ...dice.times(dice.number(0, 4), () => messageRound(dice)).flat(),
      { role: 'user', content: dice.times(dice.number(1, 3), () => block(dice)) },
    ],
  }),

  google: (dice) => ({
    model: 'some-model',
    generationConfig: { maxOutputTokens: dice.number(16, 4_000) },
    ...(dice.chance(0.3) && { systemInstruction: { parts: [{ text: prose(dice) }] } }),
    ...(dice.chance(0.1) && { cachedContent: 'cachedContents/abc' }),
    ...(dice.chance(0.4) && {
      tools: [{ functionDeclarations: [{ name: 'look', description: prose(dice, 20), parameters: schema(dice) }] }],
    }),
    contents: [
      ...dice.times(dice.number(0, 3), () => contentRound(dice)).flat(),
      { role: 'user', parts: dice.times(dice.number(1, 3), () => googlePart(dice)) },
    ],
  }),

  converse: (dice) => ({
    model: 'some-model',
    inferenceConfig: { maxTokens: dice.number(16, 4_000) },
    ...(dice.chance(0.1) && {
      additionalModelRequestFields: { inferenceConfig: { topK: 20, maxTokens: dice.number(16, 8_000) } },
    }),
    ...(dice.chance(0.3) && { system: [{ text: prose(dice) }] }),
    messages: [
      ...dice.times(dice.number(0, 3), () => converseRound(dice)).flat(),
      { role: 'user', content: dice.times(dice.number(1, 3), () => converseBlock(dice)) },
    ],
  }),

  cohere: (dice) => ({
    model: 'some-model',
    max_tokens: dice.number(16, 4_000),
    messages: [
      { role: 'system', content: prose(dice) },
      {
        role: 'user',
        content: dice.times(dice.number(1, 2), () =>
          dice.chance(0.8)
            ? { type: 'text', text: prose(dice) }
            : { type: 'image_url', image_url: { url: `data:image/png;base64,${PNG}`, detail: 'high' } },
        ),
      },
    ],
  }),
}

function chatRound(dice: Dice): Json[] {
  const call = id(dice, 'call')
  const made = { id: call, type: 'function', function: { name: 'look_0', arguments: `{"what":"${prose(dice, 6)}"}` } }
  return dice.chance(0.5)
    ? [
        { role: 'user', content: prose(dice) },
        { role: 'assistant', content: prose(dice), refusal: null, annotations: [] },
      ]
    : [
        { role: 'assistant', content: null, tool_calls: [made] },
        { role: 'tool', tool_call_id: call, content: prose(dice) },
      ]
}

function chatPart(dice: Dice): Json {
  const roll = dice.next()
  if (roll < 0.7) return { type: 'text', text: prose(dice) }
  if (roll < 0.85) return { type: 'image_url', image_url: { url: `data:image/png;base64,${PNG}`, detail: 'auto' } }
  if (roll < 0.93) return { type: 'input_audio', input_audio: { data: base64(dice, 600), format: 'wav' } }
  return { type: 'file', file: { filename: 'a.pdf', file_id: id(dice, 'file') } }
}

function responseItems(dice: Dice): Json[] {
  const call = id(dice, 'call')
  switch (dice.number(0, 6)) {
    case 0:
      return [{ type: 'reasoning', id: id(dice, 'rs'), summary: [], encrypted_content: base64(dice, 300) }]
    case 1:
      return [{ type: 'reasoning', id: id(dice, 'rs'), summary: [] }]
    case 2:
      return [
        {
          type: 'function_call',
          id: id(dice, 'fc'),
          call_id: call,
          name: 'look_0',
          arguments: '{}',
          status: 'completed',
        },
        { type: 'function_call_output', call_id: call, output: prose(dice) },
      ]
    case 3:
      return [
        {
          type: 'web_search_call',
          id: id(dice, 'ws'),
          status: 'completed',
          action: { type: 'search', query: 'grass' },
        },
      ]
    case 4:
      return [{ type: 'item_reference', id: id(dice, 'msg') }]
    case 5:
      return [{ id: id(dice, 'msg') }]
    default:
      return [
        {
          type: 'message',
          role: 'assistant',
          id: id(dice, 'msg'),
          status: 'completed',
          content: [{ type: 'output_text', text: prose(dice), annotations: [] }],
        },
      ]
  }
}

function responsePart(dice: Dice): Json {
  const roll = dice.next()
  if (roll < 0.7) return { type: 'input_text', text: prose(dice) }
  if (roll < 0.85) return { type: 'input_image', image_url: `data:image/png;base64,${PNG}`, detail: 'auto' }
  return { type: 'input_file', file_id: id(dice, 'file') }
}

function messageRound(dice: Dice): Json[] {
  const call = id(dice, 'toolu')
  return [
    {
      role: 'assistant',
      content: [
        { type: 'thinking', thinking: prose(dice), signature: base64(dice, 200) },
        { type: 'tool_use', id: call, name: 'look_0', input: { what: prose(dice, 6) } },
      ],
    },
    {
      role: 'user',
      content: [{ type: 'tool_result', tool_use_id: call, content: [{ type: 'text', text: prose(dice) }] }],
    },
  ]
}

function block(dice: Dice): Json {
  const roll = dice.next()
  if (roll < 0.7) return { type: 'text', text: prose(dice) }
  if (roll < 0.85) return { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } }
  if (roll < 0.9)
    return { type: 'document', title: 'A', source: { type: 'text', media_type: 'text/plain', data: prose(dice) } }
  return {
    type: 'document',
    source: dice.pick([
      { type: 'file', file_id: id(dice, 'file') },
      { type: 'url', url: 'https://x.example/a.pdf' },
    ]),
  }
}

function contentRound(dice: Dice): Json[] {
  return [
    {
      role: 'model',
      parts: [{ functionCall: { name: 'look', args: { what: prose(dice, 6) } }, thoughtSignature: base64(dice, 90) }],
    },
    { role: 'user', parts: [{ functionResponse: { name: 'look', response: { text: prose(dice) } } }] },
  ]
}

function googlePart(dice: Dice): Json {
  const roll = dice.next()
  if (roll < 0.7) return { text: prose(dice) }
  if (roll < 0.8) return { inlineData: { mimeType: 'image/png', data: PNG } }
  if (roll < 0.87) return { inlineData: { mimeType: 'audio/mp3', data: base64(dice, 600) } }
  const mimeType = dice.pick(['audio/mp3', 'video/mp4', 'application/pdf', 'image/png'])
  return { fileData: { mimeType, fileUri: 'https://x.example/files/abc' } }
}

function converseRound(dice: Dice): Json[] {
  const toolUseId = id(dice, 'tooluse')
  return [
    { role: 'assistant', content: [{ toolUse: { toolUseId, name: 'look', input: { what: prose(dice, 6) } } }] },
    { role: 'user', content: [{ toolResult: { toolUseId, content: [{ text: prose(dice) }], status: 'success' } }] },
  ]
}

function converseBlock(dice: Dice): Json {
  const roll = dice.next()
  if (roll < 0.75) return { text: prose(dice) }
  if (roll < 0.9) return { image: { format: 'png', source: { bytes: PNG } } }
  return { document: { format: 'pdf', name: 'a', source: { bytes: base64(dice, 300) } } }
}
