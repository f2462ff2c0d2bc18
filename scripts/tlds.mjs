// Writes src/redaction/emails/top-level-domains.json: every top-level domain of the root zone, as IANA publishes them.
// npm run tlds:update             reads IANA's file
// npm run tlds:update -- <file>   reads a copy of it
import { readFileSync, writeFileSync } from 'node:fs'

const PUBLISHED = 'https://data.iana.org/TLD/tlds-alpha-by-domain.txt'
/** There are some 1,400: a file with few of them is another one, or was cut off. */
const MIN_DOMAINS = 1_000

const copy = process.argv[2]
const text = copy ? readFileSync(copy, 'utf8') : await published()
const version = /^# Version (\d{10})/.exec(text)?.[1]
const domains = text
  .split('\n')
  .filter((line) => /^[A-Z0-9-]+$/.test(line))
  .map((line) => line.toLowerCase())
if (!version || domains.length < MIN_DOMAINS) throw new Error(`${copy ?? PUBLISHED} is not IANA's list of domains`)

const date = version.replace(/^(\d{4})(\d\d)(\d\d).*/, '$1-$2-$3')
const list = { source: `${PUBLISHED}, version ${version}; scripts/tlds.mjs`, date, domains: domains.sort().join(' ') }
writeFileSync(
  new URL('../src/redaction/emails/top-level-domains.json', import.meta.url),
  `${JSON.stringify(list, null, 2)}\n`,
)
console.log(`${domains.length} domains of ${date}`)

async function published() {
  const response = await fetch(PUBLISHED)
  if (!response.ok) throw new Error(`${PUBLISHED} answered ${response.status}`)
  return response.text()
}
