/** A call through the built product whose request and reply are large: their reader is a separate file there. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type BuiltServer, serveBuilt } from './every-route.ts'
import { answer, FakeProvider } from './provider.ts'
import { type Reply, send } from './runtime.ts'

const MEBIBYTE = 'word '.repeat(210_000)

/** `program`: the program that is started with "serve". Both texts hold an address, which the policy takes out. */
export async function callWithLargeBodies(
  program: readonly [string, ...string[]],
  folder: string,
  path = process.env.PATH,
): Promise<{ reply: Reply; sent: string }> {
  const provider = await FakeProvider.open()
  onTestFinished(() => provider.close())
  provider.does(answer({ text: [MEBIBYTE, 'ann@acme.com'] }))
  const providers = { openai: { base_url: `${provider.url}/v1` } }
  const prices = { penny: { input_per_mtok: 0, output_per_mtok: 1, max_output_tokens: 1_000_000 } }
  const config = { providers, prices, safety: { scope: ['requests', 'replies'] } }
  // JSON is YAML.
  writeFileSync(join(folder, 'iron-cage.yaml'), JSON.stringify(config))
  const server = await serveBuilt(program, folder, { PATH: path, HOME: folder, OPENAI_API_KEY: 'sk-of-the-server' })
  await post(server, '/api/models/openai/trust', {})
  const { token } = (await post(server, '/api/tokens', { name: 'client' })).json() as { token: string }
  const messages = [{ role: 'user', content: `${MEBIBYTE}bob@acme.com` }]
  const reply = await post(server, '/gateway/openai/v1/chat/completions', { model: 'penny', messages }, token)
  return { reply, sent: provider.requests.at(-1)?.body ?? '' }
}

const post = (server: BuiltServer, path: string, body: object, token = server.token): Promise<Reply> =>
  send(server.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
