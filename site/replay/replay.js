// Lets the dashboard run without a server: what it would receive comes from a recording of the demo, at the recorded
// pace. Everything that it sends is refused.
const RECORDING = fetch('recording.json').then((response) => response.json())
const NEVER_MS = 10 ** 12

const answer = (status, body) =>
  Promise.resolve(new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } }))

sessionStorage.setItem(
  'iron-cage-session',
  JSON.stringify({ access_token: '', refresh_token: '', role: 'viewer', name: 'recording', ends_at: NEVER_MS * 10 }),
)
window.fetch = (path) => {
  if (path === '/api/auth/ws-ticket') return answer(200, { ticket: '' })
  if (path === '/api/version') return answer(200, { version: '' })
  return answer(403, { error: { message: 'This is a recording.', hint: 'Start the demo to use everything.' } })
}

window.WebSocket = class extends EventTarget {
  constructor() {
    super()
    this.play()
  }
  async play() {
    const frames = await RECORDING
    const startedAt = performance.now()
    for (const { ms, frame } of frames) {
      const waitMs = startedAt + ms - performance.now()
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
      this.dispatchEvent(new MessageEvent('message', { data: JSON.stringify(frame) }))
    }
    // It stays as it ended: the dashboard takes a silent connection for a lost one.
    const { frame } = frames.at(-1)
    const beat = JSON.stringify({ type: 'events', server_time: frame.server_time, events: [] })
    setInterval(() => this.dispatchEvent(new MessageEvent('message', { data: beat })), 1_000)
  }
  close() {}
}

// Beside the body, which the dashboard draws.
const back = document.createElement('a')
back.href = '/'
back.textContent = '● Recording of the demo · back to Iron Cage'
back.style.cssText =
  'position:fixed;left:50%;bottom:14px;translate:-50%;z-index:9;padding:8px 16px;border-radius:99px;background:#9db4ff;color:#0b0d10;font:600 14px system-ui,sans-serif;text-decoration:none;white-space:nowrap'
document.documentElement.append(back)
