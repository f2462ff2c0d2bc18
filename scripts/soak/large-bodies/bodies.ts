/** The bodies: requests that an agent may send within the limits, and possible replies of a provider. */
const MIB = 1024 * 1024

/** More than any answer here is long: none is an overrun. */
const MAX_TOKENS = 4_000_000
const chat = (messages: string): string => `{"model":"penny","max_tokens":${MAX_TOKENS},"messages":${messages}}`
const list = (count: number, item: string | ((index: number) => string)): string =>
  `[${Array.from({ length: count }, (_, index) => (typeof item === 'string' ? item : item(index))).join()}]`
const said = (text: string): string => `[{"role":"user","content":${JSON.stringify(text)}}]`

const REQUESTS: Record<string, () => string> = {
  'one text of 30 MiB': () => chat(said('lorem ipsum '.repeat((30 * MIB) / 12))),
  'an image of 30 MiB': () =>
    chat(
      `[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,${'iVBORw0K'.repeat((30 * MIB) / 8)}"}}]}]`,
    ),
  'escapes, 30 MiB': () => chat(`[{"role":"user","content":"${'\\u00e9'.repeat((30 * MIB) / 6)}"}]`),
  '19,000 messages of 1.5 KB': () => chat(list(19_000, `{"role":"user","content":"${'word '.repeat(300)}"}`)),
  '3.9 million objects': () => chat(list(3_900_000, '{"a":1}')),
  '10 million []': () => chat(list(10_000_000, '[]')),
  '2.3 million fields': () => chat(`{${Array.from({ length: 2_300_000 }, (_, index) => `"k${index}":1`).join()}}`),
  'long numbers, 30 MiB': () => chat(list(1_700_000, '12345678901234567')),
}

const reply = (content: string): string =>
  `{"id":"1","object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":${content}}}],"usage":{"prompt_tokens":1,"completion_tokens":${MAX_TOKENS},"total_tokens":${MAX_TOKENS + 1}}}`
const frames = (content: unknown, more?: object): string => {
  const frame = (choices: object[], usage?: object) => `data: ${JSON.stringify({ id: '1', choices, usage })}\n\n`
  const usage = { prompt_tokens: 1, completion_tokens: MAX_TOKENS, total_tokens: MAX_TOKENS + 1 }
  return `${frame([{ index: 0, delta: { content }, more }])}${frame([], usage)}data: [DONE]\n\n`
}
const texts = (count: number, start: string): string[] =>
  Array.from({ length: count }, (_, index) => `${start}${index}`)
const people = (count: number): string =>
  JSON.stringify(Array.from({ length: count }, (_, index) => `person${index}@customers-of-acme.com`).join('\n'))

const REPLIES: Record<string, () => string> = {
  '100 addresses': () => reply(people(100)),
  '1,000 addresses': () => reply(people(1_000)),
  '20,000 addresses': () => reply(people(20_000)),
  '200,000 addresses': () => reply(people(200_000)),
  '20 MB of a@a@': () => reply(`"${'a@'.repeat(10_000_000)}"`),
  '20 MB of %40': () => reply(`"${'%40'.repeat(6_600_000)}"`),
  '1 million parts': () => reply(list(1_000_000, '{"type":"text","text":"hello"}')),
  'a frame of 3.8 MB of digits': () => frames('4111 1111 1111 1112 '.repeat(190_000)),
  'a frame of 0.5 MB of digits in 16 texts': () => frames(texts(16, '4111 1111 1111 1112 '.repeat(1_600))),
  'a frame of 4,000 fields': () => frames('Hi.', Object.fromEntries(texts(4_000, 'field').map((name) => [name, 1]))),
  'a frame of 3.8 MB of short texts': () => frames(texts(270_000, 'word ')),
  '40 MB of text': () => reply(`"${'lorem ipsum '.repeat(3_400_000)}"`),
}

/** A request, and the provider's reply; undefined: two words. */
export interface Attack {
  body: string
  answer: string | undefined
}

const asked = (answer: string): string =>
  chat(said('Go.')).replace('{', answer.startsWith('data:') ? '{"stream":true,' : '{')

export const ATTACKS: Record<string, () => Attack> = {
  ...Object.fromEntries(
    Object.entries(REQUESTS).map(([name, body]) => [`request: ${name}`, () => ({ body: body(), answer: undefined })]),
  ),
  ...Object.fromEntries(
    Object.entries(REPLIES).map(([name, make]) => [
      `reply: ${name}`,
      () => {
        const answer = make()
        return { body: asked(answer), answer }
      },
    ]),
  ),
}

const choice = { index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'ok' } }
const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }

/** Two words. */
export const OK = JSON.stringify({ id: '1', object: 'chat.completion', choices: [choice], usage })
