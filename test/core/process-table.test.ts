import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const MODULE = join(import.meta.dirname, '../../src/core/process-table.ts')
const LOOK = `import('${MODULE}').then(({ ancestorsWith }) => console.log(JSON.stringify(ancestorsWith('CANARY_KEY'))))`
const START = `
  const { spawnSync } = require('node:child_process')
  const { CANARY_KEY, ...env } = process.env
  const { stdout } = spawnSync(process.execPath, ['-e', process.argv[1]], { env, encoding: 'utf8' })
  console.log(process.pid, stdout.trim())`

test.runIf(process.platform === 'linux')('a variable is found in the environment of the parent process only', () => {
  const look = (CANARY_KEY?: string) =>
    spawnSync(process.execPath, ['-e', START, LOOK], {
      env: { PATH: process.env.PATH, ...(CANARY_KEY !== undefined && { CANARY_KEY }) },
      encoding: 'utf8',
    }).stdout.trim()
  const [pid, seen] = look('value').split(' ')
  expect(seen).toBe(`[${pid}]`)
  expect(look().split(' ')[1]).toBe('[]')
})
