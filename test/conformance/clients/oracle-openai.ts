/** The openai package of npm, whole: every object that it makes of an exchange. */
import OpenAI from 'openai'
import { obey } from './lockstep.ts'

const client = () => new OpenAI({ maxRetries: 0 })
const body = () => JSON.parse(process.env.ORACLE_BODY!) as never

async function all(stream: unknown): Promise<object> {
  const chunks: unknown[] = []
  for await (const chunk of stream as AsyncIterable<unknown>) chunks.push(chunk)
  return { chunks }
}

await obey(
  {
    chat: async () => client().chat.completions.create(body()),
    chat_streamed: async () => all(await client().chat.completions.create(body())),
    responses: async () => client().responses.create(body()),
    responses_streamed: async () => all(await client().responses.create(body())),
  },
  'openai',
)
