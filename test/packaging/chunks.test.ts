/** Which packages are loaded only by those who use them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'

const dist = resolve(import.meta.dirname, '../../dist')
const modules = readdirSync(dist).filter((name) => name.endsWith('.mjs'))
const sourcesOf = (name: string) =>
  (JSON.parse(readFileSync(join(dist, `${name}.map`), 'utf8')) as { sources: string[] }).sources
/** Modules that are loaded whenever this one is. */
const importedBy = (name: string) =>
  [...readFileSync(join(dist, name), 'utf8').matchAll(/^(?:import|export)\b[^;]*?["']\.\/([^"']+\.mjs)["']/gm)].map(
    ([, imported]) => imported!,
  )

function loadedWith(name: string): Set<string> {
  const found = new Set([name])
  for (const one of found) for (const imported of importedBy(one)) found.add(imported)
  return found
}

test.each([
  ['pg', 'src/panel/db/postgres.ts'],
  ['@redis/client', undefined],
  ['nodemailer', undefined],
  ['openid-client', undefined],
  ['gpt-tokenizer', undefined],
  ['@pydantic/genai-prices', undefined],
])('%s is loaded by no command before it is needed', (name, user) => {
  const has = (file: string) => sourcesOf(file).some((source) => source.includes(`node_modules/${name}/`))
  const holders = modules.filter(has)
  expect(holders.length).toBeGreaterThan(0)
  const starts = modules.filter((file) =>
    sourcesOf(file).some((source) => /^\.\.\/src\/(main|index|cli\/.+)\.ts$/.test(source)),
  )
  expect(starts.length).toBeGreaterThan(10)
  for (const start of starts)
    expect(
      [...loadedWith(start)].filter((file) => holders.includes(file)),
      start,
    ).toEqual([])
  if (user) expect(modules.filter((file) => sourcesOf(file).some((source) => source.endsWith(user)))).toEqual(holders)
})
