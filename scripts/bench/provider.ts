/** The simulated provider of the benchmark: answers at once. A process of its own; prints its port. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const PROSE =
  'The quarterly review shows steady growth in all regions, with the strongest results in logistics and energy. ' +
  'Costs stayed within the plan, and the team expects the trend to hold through the next two quarters. '

const reply = JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion',
  created: 1,
  model: 'gpt-4o-mini',
  choices: [{ index: 0, message: { role: 'assistant', content: PROSE.repeat(4) }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 220, completion_tokens: 150, total_tokens: 370 },
})

const server = createServer((request, response) => {
  request.resume().on('end', () => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(reply) })
    response.end(reply)
  })
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
