/** The cells of `cells.py`, for clients of npm: functions of a prompt and a model. */
import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'

const { MATRIX_MODEL: model, MATRIX_DEAR: dear } = process.env
const SAID = ['Ask jane.canary@northwind-traders.com for help.', 'Ask [EMAIL_REDACTED] for help.']
const WARM = 'Oslo 4 degrees.'

export const warmth = ({ city }) => `${city.length} degrees in ${city}`
export const CITY = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }

export async function run(packages, { ask, stream, tools }) {
  report('versions', Object.fromEntries(packages.map((name) => [name, versionOf(name)])))
  const cells = {
    whole: async () => said(await ask(prompt('whole'), model)),
    streamed: stream && (async () => said(await joined(stream(prompt('streamed'), model)))),
    tools: tools && (async () => expectIn(await tools(prompt('tools'), model), [WARM])),
    402: async () => said(await ask(prompt('402'), dear)),
    429: async () => said(await ask(prompt('429'), model)),
    cancel: stream && (() => leave(stream(prompt('cancel'), model))),
  }
  for (const name of ['whole', 'streamed', 'tools', '402', '429', 'cancel']) {
    if (cells[name]) report(name, await outcome(cells[name]))
  }
  process.exit(0)
}

const prompt = (cell) => (cell === 'tools' ? `cell ${cell}: how warm is it in Oslo?` : `cell ${cell}: say hello.`)

async function joined(pieces) {
  let text = ''
  for await (const piece of pieces) text += piece
  return text
}

async function leave(pieces) {
  for await (const _ of pieces) break
  await fetch(process.env.MATRIX_LEFT)
  return 'ok'
}

function said(text) {
  expectIn(text, SAID)
  return text.includes(SAID[0]) ? 'leak' : 'ok'
}

function expectIn(text, wanted) {
  if (!wanted.some((one) => `${text}`.includes(one))) throw new Error(`answered ${`${text}`.slice(0, 200)}`)
  return 'ok'
}

async function outcome(cell) {
  try {
    return { ok: await cell(), at: Date.now() / 1000 }
  } catch (error) {
    const status = error.status ?? error.statusCode ?? error.lastError?.statusCode ?? null
    return { error: error.constructor.name, status, message: `${error.message}`.slice(0, 2000), at: Date.now() / 1000 }
  }
}

const versionOf = (name) => JSON.parse(readFileSync(findPackageJSON(name, import.meta.url))).version

const report = (name, value) => console.log(`@@${JSON.stringify([name, value])}`)
