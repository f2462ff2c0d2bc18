import { expect, test } from 'vitest'
import { openPlace } from './support.ts'

test('models are listed, and trusted one by one or all of a provider', async () => {
  const place = openPlace()
  place.write('iron-cage.yaml', 'providers: { vllm: { base_url: "http://127.0.0.1:9/v1" } }\n')
  const server = place.start(['serve', '--port', '0'])
  await server.shows('#code=')
  expect(await place.type(['models', 'list'])).toMatchObject({
    code: 0,
    out: '',
    err: "nothing is known: only the vendors' own servers were called\n",
  })
  expect(await place.type(['models', 'trust', 'vllm/org/mine'])).toMatchObject({
    code: 0,
    out: 'vllm/org/mine  trusted\n',
  })
  expect(await place.type(['models', 'trust', 'vllm'])).toMatchObject({ code: 0, out: 'vllm  trusted\n' })
  const { out } = await place.type(['models', 'list'])
  expect(out).toMatch(/^MODEL +STATE +SINCE +HELD +OVERRUN\n[\s\S]+\n\nHELD: what is reserved for a call/)
  expect(out).toMatch(/^vllm\/org\/mine +trusted +\S+ +1 × +-$/m)
  expect(JSON.parse((await place.type(['models', 'list', '--json'])).out)).toMatchObject([
    { name: 'vllm', state: 'trusted', factor: 1, overrun: null },
    { name: 'vllm/org/mine', state: 'trusted' },
  ])
  expect(await place.type(['models', 'trust', 'nobody/mine'])).toMatchObject({
    code: 5,
    err: expect.stringContaining('there is no provider "nobody"'),
  })
})
