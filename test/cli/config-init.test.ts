import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { CONFIG_TEMPLATE, writeConfigFile } from '../../src/cli/settings/config-file.ts'
import { changedKeys, loadConfig } from '../../src/config/config.ts'
import { readEnvironment } from '../../src/config/env.ts'

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'iron-cage-init-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A commented option; a sentence has a space and a capital behind its "#". */
const OPTION = /^#( *[a-z_]+:.*)$/gm

const load = (cwd: string) => loadConfig({ env: readEnvironment({}), cwd }).config

test('the file that is written changes the limit and nothing else', () => {
  const cwd = folder()
  const before = load(cwd)
  expect(writeConfigFile(cwd)).toBe('iron-cage.yaml')
  expect(changedKeys(before, load(cwd))).toEqual(['budget.limit_usd'])
})

test('every option in its comments is one, and stands there with its default, but for examples', () => {
  const cwd = folder()
  const before = load(cwd)
  writeFileSync(join(cwd, 'iron-cage.yaml'), CONFIG_TEMPLATE.replaceAll(OPTION, '$1'))
  expect(changedKeys(before, load(cwd)).map((key) => key.split('.').slice(0, 2).join('.'))).toEqual(
    expect.arrayContaining(['agent.name', 'budget.per_run_usd', 'budget.server_usd', 'safety.modes']),
  )
  const examples =
    /^(agent\.name|budget\.(limit|per_run|server)_usd|safety\.modes|providers\.openai\.base_url|services|alerts|otel\.endpoint)\b/
  expect(changedKeys(before, load(cwd)).filter((key) => !examples.test(key))).toEqual([])
})

test('each option works when only its "#" is removed', () => {
  const cwd = folder()
  const options = [...CONFIG_TEMPLATE.matchAll(OPTION)]
  expect(options.length).toBeGreaterThan(20)
  for (const { 0: line, 1: option, index } of options) {
    const changed = CONFIG_TEMPLATE.slice(0, index) + option + CONFIG_TEMPLATE.slice(index + line.length)
    writeFileSync(join(cwd, 'iron-cage.yaml'), changed)
    expect(() => load(cwd), option).not.toThrow()
  }
})

test('a file that is there stays as it is', () => {
  const cwd = folder()
  writeFileSync(join(cwd, 'iron-cage.yml'), 'budget: { limit_usd: 3 }\n')
  expect(() => writeConfigFile(cwd)).toThrow('iron-cage.yml exists already')
  expect(readFileSync(join(cwd, 'iron-cage.yml'), 'utf8')).toBe('budget: { limit_usd: 3 }\n')
})
