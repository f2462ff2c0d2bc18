/**
 * Light rows of docs/client-matrix.md (`scripts/clients/matrix.ts` has the others): each client's own program, without a
 * cage and under `iron-cage start`.
 */
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { MATRIX } from '../../scripts/clients/clients.ts'
import { CELLS, mark, runClient } from '../../scripts/clients/trial.ts'

const root = resolve(import.meta.dirname, '../..')
const folder = resolve(root, 'scripts/clients/programs')

/** By the client's name, where its packages are: a Python environment, or those of the tests themselves. */
const LIGHT: Readonly<Record<string, string | undefined>> = {
  openai: '.venv-test',
  anthropic: '.venv-test',
  cohere: '.venv-test-providers',
  'openai (Node)': undefined,
}

test.concurrent.each(Object.entries(LIGHT))(
  '%s: every cell is in the cage as it is without one',
  async (name, environment) => {
    const client = MATRIX.find((one) => one.name === name)!
    const interpreter = environment ? resolve(root, environment, 'bin/python') : process.execPath
    const [bare, caged] = await Promise.all(
      [false, true].map((isCaged) => runClient(client, { interpreter, folder }, isCaged)),
    )
    const failed = [...caged!.cells].filter(([cell, { error }]) => error && cell !== '402')
    expect(failed).toEqual([])
    const facts = JSON.stringify([[...bare!.cells], [...caged!.cells]])
    expect(
      CELLS.map((cell) => mark(cell, bare!, caged!).slice(0, 1)),
      facts,
    ).toEqual(CELLS.map(() => '✓'))
  },
)
