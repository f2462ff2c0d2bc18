/** `prices update`: a newer list of public prices, shown as a difference and pinned by its hash in the configuration. */
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import {
  hashOf,
  listOf,
  MAX_LIST_BYTES,
  openPriceList,
  readListFile,
  requireHash,
  requireUniqueNames,
} from '../../../budget/pinned-list.ts'
import type { PriceList } from '../../../budget/price-list.ts'
import { AgentFolders } from '../../../config/agent-folders.ts'
import { CONFIG_FILES, type LoadedConfig } from '../../../config/config.ts'
import { withSection } from '../../../config/write-section.ts'
import { systemClock } from '../../../core/clock.ts'
import { CageError } from '../../../core/errors.ts'
import { type Network, openPool } from '../../../core/http-pools.ts'
import { readNetwork } from '../../../gateway/provider/network.ts'
import { type CliCommand, command } from '../../command.ts'
import { priceLines } from '../../output/price-lines.ts'
import { json, table } from '../../output/print.ts'
import type { Terminal } from '../../output/terminal.ts'
import { type ConfigFlags, withConfig } from '../../settings/flags.ts'
import { loadFlags } from '../../settings/load-flags.ts'

/** Where the authors of the built-in list publish newer ones. */
const PUBLISHED_AT = 'https://raw.githubusercontent.com/pydantic/genai-prices/main/prices/new_data/v2/data.json'
const LIST_FILE = 'iron-cage.prices.json'
const MAX_DOWNLOAD_MS = 60_000

interface UpdateFlags extends ConfigFlags {
  sha256?: string
  dryRun?: boolean
  json?: boolean
}

export const updatePricesCommand: CliCommand = (terminal) =>
  command({
    command: 'update [source]',
    describe: 'Get a newer list of public prices, show what changes, and pin it by its SHA-256 in the configuration',
    builder: (yargs) =>
      withConfig(yargs)
        .positional('source', {
          type: 'string',
          describe: 'File or https address of the list (default: where its authors publish it)',
        })
        .option('sha256', { type: 'string', requiresArg: true, describe: 'Refuse a list with another hash' })
        .option('dry-run', { type: 'boolean', describe: 'Show what would change, and change nothing' })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([
          ['$0 prices update --dry-run', 'see the difference first'],
          ['# a file that somebody has checked', ''],
          ['$0 prices update prices.json --sha256 9f86…0a08', ''],
        ]),
    handler: ({ source, ...flags }) => update(source ?? PUBLISHED_AT, flags, terminal),
  })

async function update(source: string, flags: UpdateFlags, terminal: Terminal): Promise<void> {
  const loaded = loadFlags(flags, terminal)
  const { bytes, date } = await fetchList(source, flags.sha256, loaded, terminal.cwd)
  if (flags.sha256 !== undefined) requireHash(bytes, flags.sha256, source)
  const list = listOf(bytes, { name: basename(source), date })
  requireUniqueNames(bytes, basename(source))
  const providers = Object.keys(loaded.config.providers)
  const difference = await compare(openPriceList(loaded.config.price_list), list, providers)
  const pin = { file: LIST_FILE, sha256: hashOf(bytes), date }
  const written = flags.dryRun ? undefined : pinList(bytes, pin, loaded, flags, terminal)
  if (flags.json) return terminal.out(json({ source, ...pin, written: written ?? null, ...difference }))
  differenceLines(difference).forEach(terminal.out)
  terminal.err(
    written === undefined
      ? 'nothing was changed (--dry-run)'
      : `pinned ${pin.sha256} in ${written}; it takes effect at the next start`,
  )
}

interface FetchedList {
  bytes: Buffer
  date: string
}

/** An address without TLS is read only from this machine, or if the hash determines its content. */
async function fetchList(
  source: string,
  sha256: string | undefined,
  { config }: LoadedConfig,
  cwd: string,
): Promise<FetchedList> {
  if (!/^https?:/.test(source)) {
    const path = resolve(cwd, source)
    const bytes = readListFile(path)
    return { bytes, date: dayOf(statSync(path).mtimeMs) }
  }
  const url = new URL(source)
  if (url.protocol === 'http:' && sha256 === undefined && !LOOPBACK.test(url.hostname)) {
    throw new CageError('usage', `${source} can be changed on its way`, { hint: 'use https, or give --sha256' })
  }
  return download(url, readNetwork(config.network))
}

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/

async function download(url: URL, network: Network): Promise<FetchedList> {
  const pool = openPool(url.origin, network, { connections: 1 })
  const signal = AbortSignal.timeout(MAX_DOWNLOAD_MS)
  try {
    const { statusCode, headers, body } = await pool.request({ path: url.pathname + url.search, method: 'GET', signal })
    if (statusCode !== 200) throw new Error(`it answered ${statusCode}`)
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      size += chunk.length
      if (size > MAX_LIST_BYTES) throw new Error(`it has more than ${MAX_LIST_BYTES} bytes`)
    }
    return { bytes: Buffer.concat(chunks), date: dayOf(Date.parse(String(headers['last-modified'] ?? ''))) }
  } catch (cause) {
    throw new CageError('price_list_refused', `${url.href} cannot be read: ${(cause as Error).message}`, {
      hint: 'check the address and "network" in the configuration, or give a file',
      cause,
    })
  } finally {
    await pool.destroy()
  }
}

/** Today when it is not known, or in the future. */
function dayOf(atMs: number): string {
  const now = systemClock.now()
  return new Date(atMs <= now ? atMs : now).toISOString().slice(0, 10)
}

/** A model whose price differs, with each part that does. */
interface ChangedPrice {
  model: string
  parts: { part: string; from: string | null; to: string | null }[]
}

interface Difference {
  added: ChangedPrice[]
  removed: ChangedPrice[]
  changed: ChangedPrice[]
}

/** Compares the prices of the configured providers. */
async function compare(before: PriceList, after: PriceList, providers: readonly string[]): Promise<Difference> {
  const [old, fresh] = await Promise.all([partsOf(before, providers), partsOf(after, providers)])
  const differs = (model: string): ChangedPrice => {
    const [from, to] = [old.get(model), fresh.get(model)]
    const parts = [...new Set([...(from?.keys() ?? []), ...(to?.keys() ?? [])])]
      .map((part) => ({ part, from: from?.get(part) ?? null, to: to?.get(part) ?? null }))
      .filter((part) => part.from !== part.to)
    return { model, parts }
  }
  return {
    added: [...fresh.keys()].filter((model) => !old.has(model)).map(differs),
    removed: [...old.keys()].filter((model) => !fresh.has(model)).map(differs),
    changed: [...fresh.keys()]
      .filter((model) => old.has(model))
      .map(differs)
      .filter(({ parts }) => parts.length > 0),
  }
}

type PriceParts = ReadonlyMap<string, string>

/** Returns the parts of every price, by "provider/model". */
async function partsOf(list: PriceList, providers: readonly string[]): Promise<Map<string, PriceParts>> {
  const now = systemClock.now()
  const all = new Map<string, PriceParts>()
  for (const provider of providers) {
    for (const { model, price } of await list.models(provider, now)) {
      all.set(`${provider}/${model}`, new Map(priceLines(price).filter(([part]) => part !== 'source')))
    }
  }
  return all
}

function differenceLines({ added, removed, changed }: Difference): string[] {
  const value = (text: string | null) => text ?? 'none'
  const given = ({ model, parts }: ChangedPrice) => [
    model,
    parts.map(({ part, to }) => `${part} ${value(to)}`).join(', '),
  ]
  const moved = ({ model, parts }: ChangedPrice) => [
    model,
    parts.map(({ part, from, to }) => `${part} ${value(from)} → ${value(to)}`).join(', '),
  ]
  const counts = [`${added.length} new`, `${removed.length} gone`, `${changed.length} changed`].join(', ')
  return [
    ...table([
      ...removed.map(({ model }) => ['-', model, 'no longer listed: its calls need a price of yours']),
      ...changed.map((price) => ['~', ...moved(price)]),
      ...added.map((price) => ['+', ...given(price)]),
    ]),
    `${counts} among the models of your providers`,
  ]
}

/** Writes the list beside the configuration and pins it there. Returns the configuration's path. */
function pinList(
  bytes: Buffer,
  pin: Record<string, string>,
  loaded: LoadedConfig,
  flags: ConfigFlags,
  terminal: Terminal,
): string {
  const path = loaded.file ?? join(terminal.cwd, CONFIG_FILES[0])
  const before = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const { unknown } = loaded.config.price_list
  const after = withSection(before, path.endsWith('.toml'), 'price_list', {
    ...(unknown === 'refuse' ? {} : { unknown }),
    ...pin,
  })
  const list = join(dirname(path), LIST_FILE)
  // Beside its place first, so that it is never there in part.
  writeFileSync(`${list}.new`, bytes)
  renameSync(`${list}.new`, list)
  // In place: it keeps its permissions.
  writeFileSync(path, after)
  new AgentFolders(terminal.env.variables.HOME).trust(path)
  openPriceList(loadFlags({ ...flags, config: path }, terminal).config.price_list)
  return path
}
