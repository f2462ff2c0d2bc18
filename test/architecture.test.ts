import { readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { code, type Import, importsBelow, importsOf, inRings, sourcesBelow, specifiersOf } from '../scripts/imports.ts'

/**
 * Who may import whom: a part may import what stands to the right of it, and nothing within its own group but itself.
 * Parts of one group do not know each other: they meet on the road, in the runtime, or by URL.
 */
const ORDER: readonly (readonly string[])[] = [
  ['main', 'index'],
  ['cli'],
  ['deploy'],
  ['runtime'],
  ['api', 'panel'],
  ['http'],
  ['gateway', 'egress', 'agents', 'alerts', 'booth', 'uplink', 'otel'],
  ['redaction', 'budget', 'breaker', 'vault', 'sandbox'],
  ['access', 'audit'],
  ['state'],
  ['db', 'config'],
  ['dialects'],
  ['log', 'process-table', 'package-folder', 'paths', 'http-pools', 'waiting-list', 'repeating-task'],
  [
    'events',
    'errors',
    'ids',
    'id-types',
    'ascii',
    'tokens',
    'money',
    'units',
    'pii-types',
    'clock',
    'backoff',
    'batch',
    'boot-id',
    'aes-gcm',
    'call-content',
    'lease-messages',
    'control-messages',
    'telemetry-messages',
  ],
]

/** Parts of the last group build on each other in this order only. */
const LEAVES: Readonly<Record<string, readonly string[]>> = {
  events: ['id-types', 'money', 'pii-types', 'control-messages'],
  'call-content': ['id-types'],
  errors: ['money'],
  ids: ['id-types'],
  'control-messages': ['money'],
  'lease-messages': ['money'],
  tokens: ['ascii'],
  'telemetry-messages': ['events'],
}

/** Free of Node: the browser runs them too. They may import each other. */
const SHARED_WITH_BROWSER = [
  'src/protocol/control-messages.ts',
  'src/core/events.ts',
  'src/core/id-types.ts',
  'src/core/money.ts',
  'src/core/pii-types.ts',
  'src/panel/fleet-view.ts',
  'src/state/snapshot.ts',
  'src/state/apply-event.ts',
  'src/core/units.ts',
  'src/booth/steps.ts',
  'src/state/axis.ts',
  'src/state/history-view.ts',
  'src/core/call-content.ts',
  'src/state/call-view.ts',
  'src/state/figures.ts',
  'src/state/figures-text.ts',
  'src/state/histogram.ts',
  'src/state/own.ts',
  ...['agent-life', 'agent-spending', 'agent-work', 'agents', 'alerts', 'budgets', 'burn', 'circuits', 'vault'].map(
    (slice) => `src/state/slices/${slice}.ts`,
  ),
]

/** Who may read or await real time, and why. */
const BESIDE_THE_CLOCK: Readonly<Record<string, string>> = {
  'src/core/clock.ts': 'is the clock',
  'src/main.ts': 'sets the garbage collector of this process, two real seconds after its start',
  'src/core/ids.ts': 'ids of calls lie on the disk in the order in which they were really made',
  'src/core/process-table.ts': 'asks the system again for a descriptor, which no moved clock gives back',
  'src/config/agent-folders.ts': 'compares with the times of files, which the system notes',
  'src/cli/': 'a command is a process of its own, with a person waiting for it',
}

const root = resolve(import.meta.dirname, '..')

describe('the import order', () => {
  test('every import in src goes to the right', () => {
    expect(violations(importsBelow('src').filter(({ to }) => to.startsWith('src/')))).toEqual([])
  })

  test.each([
    ['src/budget/ledger.ts', 'src/breaker/breaker.ts', 'budget and breaker do not know each other'],
    ['src/gateway/gateway.ts', 'src/agents/supervisor.ts', 'gateway and agents do not know each other'],
    ['src/state/state-manager.ts', 'src/api/server.ts', 'state may not import api'],
    ['src/core/money.ts', 'src/core/events.ts', 'money may not import events'],
    ['src/surprise/part.ts', 'src/core/money.ts', 'surprise is in no group'],
  ])('a planted import from %s to %s is found', (from, to, what) => {
    expect(violations([{ from, to }])).toEqual([`${from} → ${to}: ${what}`])
  })

  test.each(['src', 'web', 'demo', 'scripts', 'test'])(
    'no file below %s reaches itself through its imports',
    (folder) => {
      expect(inRings(importsBelow(folder))).toEqual([])
    },
  )

  test('a planted ring is found, without the files that only lead to it or from it', () => {
    const ring = ['a b', 'b c', 'c a', 'x a', 'c y'].map((pair) => ({ from: pair[0]!, to: pair[2]! }))
    expect(inRings(ring)).toEqual(['a', 'b', 'c'])
  })

  test('the dashboard imports only those files of src that are free of Node', () => {
    const outside = importsBelow('web').filter(({ to }) => to.startsWith('src/'))
    expect(outside.filter(({ to }) => !SHARED_WITH_BROWSER.includes(to))).toEqual([])
  })

  test.each(SHARED_WITH_BROWSER)('%s is free of Node', (file) => {
    expect(specifiersOf(readFileSync(join(root, file), 'utf8')).filter((name) => !name.startsWith('.'))).toEqual([])
    expect(importsOf(file).filter(({ to }) => !SHARED_WITH_BROWSER.includes(to))).toEqual([])
  })
})

describe('the modules that a command loads before it acts', () => {
  test.each(['src/main.ts', 'src/cli/client/offline-client.ts', ...sourcesBelow('src/cli/commands/budget')])(
    'the command %s loads neither a server nor a database, a schema or a redactor',
    (file) => {
      const loaded = loadedWith(file)
      expect(loaded.length).toBeGreaterThan(5)
      expect(loaded.filter((name) => HEAVY.test(name))).toEqual([])
    },
  )

  test('a module behind import() is not loaded, and a static import is', () => {
    expect(loadedWith('src/cli/client/offline-client.ts')).not.toContain('src/cli/client/offline-routes.ts')
    expect(loadedWith('src/cli/client/offline-routes.ts').filter((name) => HEAVY.test(name))).toEqual(
      expect.arrayContaining(['hono', 'zod', 'better-sqlite3', 'src/redaction/redactor.ts']),
    )
  })
})

describe('the source tree', () => {
  test('only config/env.ts reads the environment of the process', () => {
    const readers = sourcesBelow('src').filter((file) => /process\.env\b/.test(code(file)))
    expect(readers).toEqual(['src/config/env.ts'])
  })

  test('everything reads the time and sets timers through its clock', () => {
    const beside = /\bDate\.now\b|\bperformance\.now\b|\bsetTimeout\b|\bsetInterval\b|\bAbortSignal\.timeout\b/
    const found = sourcesBelow('src').filter((file) => beside.test(withoutComments(code(file))))
    const allowed = Object.keys(BESIDE_THE_CLOCK)
    expect(found.filter((file) => !allowed.some((prefix) => file.startsWith(prefix)))).toEqual([])
    expect(allowed.filter((prefix) => !found.some((file) => file.startsWith(prefix)))).toEqual([])
  })

  test('no folder of src has more than 25 files', () => {
    const counts = new Map<string, number>()
    for (const file of sourcesBelow('src')) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1)
    expect([...counts].filter(([, files]) => files > 25)).toEqual([])
  })

  test('the statements of each table are made once, in db/store.ts', () => {
    const factories = sourcesBelow('src/db').flatMap((file) =>
      [...code(file).matchAll(/^export function (\w+Table)\(/gm)].map((match) => match[1]!),
    )
    const isCalled = new RegExp(`(?<!function )\\b(?:${factories.join('|')})\\(`)
    expect(factories.length).toBeGreaterThan(10)
    expect(sourcesBelow('src').filter((file) => isCalled.test(code(file)))).toEqual(['src/db/store.ts'])
  })

  test('tests that open the whole program open the built one', () => {
    const opening = [...sourcesBelow('test'), ...sourcesBelow('scripts/soak')].filter((file) =>
      /import \{[^}]*\bopenParts\b[^}]*\} from '[./]+\/src\/runtime\.ts'/.test(code(file)),
    )
    expect(opening).toEqual(['test/gateway/replies/stream.test.ts', 'test/gateway/run-call.test.ts'])
  })

  test('shared files of tests register no hook, which would run for the first file alone', () => {
    const sharing = sourcesBelow('test').filter((file) => !file.endsWith('.test.ts'))
    const hooking = sharing.filter((file) => /^(?:before|after)(?:Each|All)\(/m.test(code(file)))
    // Loaded before each file.
    expect(hooking).toEqual(['test/support/processor-time.ts'])
  })

  test('one file encrypts', () => {
    const encrypting = sourcesBelow('src').filter((file) => /create(?:C|Dec)ipheriv/.test(code(file)))
    expect(encrypting).toEqual(['src/core/aes-gcm.ts'])
  })

  test('one file names the files beside a database', () => {
    const beside = /['"`](?:\$\{\w*[pP]ath\})?(?:-wal|-shm|-journal|\.(?:audit-key|audit-head|data-key|server))['"`]/
    const naming = sourcesBelow('src').filter((file) => beside.test(withoutComments(code(file))))
    expect(naming).toEqual(['src/db/files.ts'])
  })

  test('nothing in src mentions the demo, except the entry of its command', () => {
    const knowing = sourcesBelow('src').filter((file) => importsOf(file).some(({ to }) => to.startsWith('demo/')))
    expect(knowing).toEqual(['src/main.ts'])
  })

  test('nothing outside its folder and the list of dialects names a dialect, but for examples in help texts', () => {
    const examples =
      /^src\/(cli|dialects|redaction\/secrets\/issuers|vault\/secret|http\/openapi|config\/)|price-list|service-terms/
    const naming = sourcesBelow('src').filter((file) =>
      /['"`]?\b(openai|anthropic)\b/i.test(withoutComments(code(file))),
    )
    expect(naming.filter((file) => !examples.test(file))).toEqual([])
  })

  test('nothing but the StateManager is called a manager, and nothing a helper, handler or processor', () => {
    const vague = /(?<!State)Manager|Helper|Handler|Processor|Util(?:s|ity)?\b/
    const named = sourcesBelow('src').flatMap((file) => {
      const found = /\b(?:class|interface|function|const|type) (\w+)/g
      return [...code(file).matchAll(found)]
        .filter(([, name]) => vague.test(name!))
        .map(([, name]) => `${file}: ${name}`)
    })
    expect(named).toEqual([])
  })
})

function violations(imports: readonly Import[]): string[] {
  return imports.flatMap(({ from, to }) => {
    const why = violation(partOf(from), partOf(to))
    return why ? [`${from} → ${to}: ${why}`] : []
  })
}

function violation(from: string, to: string): string | undefined {
  if (from === to) return undefined
  const groupOf = (part: string) => ORDER.findIndex((group) => group.includes(part))
  for (const part of [from, to]) if (groupOf(part) < 0) return `${part} is in no group`
  if (groupOf(from) < groupOf(to)) return undefined
  if (LEAVES[from]?.includes(to)) return undefined
  const isLeaf = groupOf(from) === ORDER.length - 1
  return groupOf(from) === groupOf(to) && !isLeaf
    ? `${from} and ${to} do not know each other`
    : `${from} may not import ${to}`
}

/** `src/budget/ledger.ts` → "budget", `src/core/money.ts` → "money": the parts of these folders are their files. */
const partOf = (file: string): string => {
  const [, folder, name] = file.split('/')
  return (folder === 'core' || folder === 'protocol' ? name! : folder!).replace(/(?:\.d)?\.ts$/, '')
}

/** Modules that a client command must not load: it takes longer to load than the server to answer. */
const HEAVY = /^(hono|zod|yaml|undici|better-sqlite3|src\/runtime\.ts|src\/redaction\/redactor\.ts)$/

/** The files and packages that are loaded with a file: without type imports and without modules behind an import(). */
function loadedWith(file: string, loaded: Set<string> = new Set()): string[] {
  const statements = code(file).matchAll(/^(?:import|export) (?!type )[^;']*?from '([^']+)'/gm)
  for (const [, specifier] of statements) {
    const name = specifier!.startsWith('.') ? relative(root, resolve(root, dirname(file), specifier!)) : specifier!
    if (loaded.has(name)) continue
    loaded.add(name)
    if (name.endsWith('.ts')) loadedWith(name, loaded)
  }
  return [...loaded]
}

const withoutComments = (source: string): string => source.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
