/** Records what the server sends to a dashboard during the demo, for the page that replays it: `npm run site:record`. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
/** A lead each half second. */
const PACE = '7200'

const folder = mkdtempSync(join(tmpdir(), 'iron-cage-recording-'))
const demo = spawn(process.execPath, [join(root, 'bin/iron-cage.cjs'), 'demo', '--pace', PACE, '--port', '0'], {
  cwd: folder,
  stdio: ['ignore', 'pipe', 'inherit'],
})
const ended = once(demo, 'exit')
try {
  const link = new URL(await linkOf(demo.stdout))
  const frames = await record(link.origin, link.hash.replace('#code=', ''))
  // The folder of this checkout is nobody's business.
  const text = JSON.stringify(frames).replaceAll(`${root}/`, '')
  writeFileSync(join(import.meta.dirname, 'replay/recording.json'), text)
  console.log(`${frames.length} frames, ${(text.length / 1e3).toFixed(0)} KB`)
} finally {
  demo.kill('SIGTERM')
  await ended
  rmSync(folder, { recursive: true, force: true })
}

interface Frame {
  /** When it came, in ms after the first one. */
  ms: number
  frame: { type: string; events?: { type: string }[] }
}

/** Everything until the agent has ended. */
async function record(origin: string, code: string): Promise<Frame[]> {
  const post = async (path: string, body: unknown, token?: string) => {
    const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
    return (await fetch(origin + path, { method: 'POST', headers, body: JSON.stringify(body) })).json()
  }
  const { access_token } = await post('/api/auth/exchange', { code })
  const { ticket } = await post('/api/auth/ws-ticket', undefined, access_token)
  const socket = new WebSocket(`${origin.replace('http', 'ws')}/ws?ticket=${ticket}`)
  const frames: Frame[] = []
  let startedAt = 0
  await new Promise<void>((done, failed) => {
    socket.addEventListener('error', () => failed(new Error('the connection broke')))
    socket.addEventListener('message', ({ data }) => {
      startedAt ||= performance.now()
      const frame = JSON.parse(String(data)) as Frame['frame']
      frames.push({ ms: Math.round(performance.now() - startedAt), frame })
      if (frame.events?.some(({ type }) => type === 'agent.exited')) setTimeout(done, 1_000)
    })
  })
  socket.close()
  return frames
}

/** The sign-in link that the demo prints. What follows is read and dropped, so that the demo is never held up. */
function linkOf(output: NodeJS.ReadableStream): Promise<string> {
  let printed = ''
  return new Promise((found) => {
    output.setEncoding('utf8').on('data', (text: string) => {
      printed += text
      const link = /http:\S+#code=\S+(?=\s)/.exec(printed)?.[0]
      if (link) found(link)
    })
  })
}
