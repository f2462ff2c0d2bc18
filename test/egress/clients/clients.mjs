/** Sends a request to each URL of its arguments with the client that the first one names, and prints a line of JSON for each. */
import { get } from 'node:https'
import { text } from 'node:stream/consumers'

const clients = {
  fetch: async (url) => checked(await fetch(url)),
  https: (url) =>
    new Promise((resolve, reject) => {
      get(url, (response) => resolve(text(response))).on('error', reject)
    }),
  undici: async (url) => {
    const { request } = await import('undici')
    return (await request(url)).body.text()
  },
  ws: async (url) => {
    const { WebSocket } = await import('ws')
    const socket = new WebSocket(url.replace('https:', 'wss:'))
    return new Promise((resolve, reject) => {
      socket.on('error', reject).on('message', (content) => {
        resolve(String(content))
        socket.terminate()
      })
    })
  },
}

async function checked(response) {
  if (!response.ok) throw new Error(`${response.status}`)
  return response.text()
}

/** What an error says, with what caused it. */
const told = (error) => (error === undefined ? '' : `${error}: ${told(error.cause ?? error.errors?.[0])}`)

const [, , name, ...urls] = process.argv
for (const url of urls) {
  const start = performance.now()
  const answer = await clients[name](url).then(
    (text) => ({ ok: true, text }),
    (error) => ({ ok: false, text: told(error) }),
  )
  console.log(JSON.stringify({ ...answer, ms: Math.round(performance.now() - start) }))
}
process.exit(0)
