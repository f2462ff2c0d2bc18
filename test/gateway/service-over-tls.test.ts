/** The built program calls a service over TLS, as nearly every service is served: with HTTP/2 on offer. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { openPlace } from '../cli/support.ts'

const tls = resolve(import.meta.dirname, '../support/tls')

const AGENT = `import os, urllib.request
address = os.environ['IRON_CAGE_GATEWAY_URL'] + '/services/weather/today'
request = urllib.request.Request(address, headers={'authorization': 'Bearer ' + os.environ['IRON_CAGE_TOKEN']})
print(urllib.request.urlopen(request).read().decode())
`

test('a service that offers HTTP/2 is called over HTTP/1.1', async () => {
  const files = { key: readFileSync(`${tls}/key.pem`), cert: readFileSync(`${tls}/cert.pem`), allowHTTP1: true }
  const service = createSecureServer(files, (request, response) => response.end(`over HTTP/${request.httpVersion}`))
  service.listen(0, '127.0.0.1')
  await once(service, 'listening')
  try {
    const { port } = service.address() as AddressInfo
    const place = openPlace()
    place.write('agent.py', AGENT)
    place.write(
      'iron-cage.yaml',
      `services: { weather: { base_url: 'https://localhost:${port}', cost_per_call_usd: 0.01 } }\n`,
    )
    const env = { NODE_EXTRA_CA_CERTS: `${tls}/cert.pem` }
    const { code, out } = await place.run(['start', 'agent.py', '--port', '0'], { env })
    expect(out).toContain('over HTTP/1.1')
    expect(code).toBe(0)
  } finally {
    service.close()
  }
})
