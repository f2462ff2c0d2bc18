/** The @anthropic-ai/sdk package, whole: every object that it makes of an exchange. */
import Anthropic from '@anthropic-ai/sdk'
import { obey } from './lockstep.ts'

const client = () => new Anthropic({ maxRetries: 0 })
const body = () => JSON.parse(process.env.ORACLE_BODY!) as never

await obey(
  {
    anthropic: async () => (await client().messages.create(body())) as object,
    async anthropic_streamed() {
      const stream = client().messages.stream(body())
      const events: unknown[] = []
      for await (const event of stream) events.push(event)
      return { events, message: await stream.finalMessage() }
    },
  },
  '@anthropic-ai/sdk',
)
