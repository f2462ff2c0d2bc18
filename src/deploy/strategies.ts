/** Finds strategies: each folder below `strategies/` of this package, and below the user's own. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { asCageError, CageError } from '../core/errors.ts'
import { packageFolder } from '../core/package-folder.ts'
import { parseStrategy, type Strategy } from './strategy.ts'

/** A strategy that cannot be used, with the reason. */
export interface BrokenStrategy {
  name: string
  folder: string
  error: CageError
}

export interface Strategies {
  /** By name; the user's own come first. */
  usable: readonly Strategy[]
  broken: readonly BrokenStrategy[]
}

/**
 * Reads every strategy. One in a folder of the user replaces ours of the same name. `ownFolder`: the user's
 * `strategies/`, which need not exist.
 */
export function findStrategies(ownFolder: string): Strategies {
  const usable = new Map<string, Strategy>()
  const broken = new Map<string, BrokenStrategy>()
  for (const parent of [ownFolder, join(packageFolder(), 'strategies')]) {
    for (const name of foldersBelow(parent)) {
      if (usable.has(name) || broken.has(name)) continue
      const folder = join(parent, name)
      try {
        usable.set(name, readStrategy(name, folder))
      } catch (error) {
        broken.set(name, { name, folder, error: asCageError(error) })
      }
    }
  }
  return { usable: [...usable.values()], broken: [...broken.values()] }
}

/** Throws CageError `not_found`, or `invalid_strategy` for a broken one. */
export function requireStrategy({ usable, broken }: Strategies, name: string): Strategy {
  const found = usable.find((strategy) => strategy.name === name)
  if (found) return found
  const fault = broken.find((strategy) => strategy.name === name)
  if (fault) throw fault.error
  throw new CageError('not_found', `there is no strategy "${name}"`, {
    hint: `choose one of ${usable.map((strategy) => strategy.name).join(', ')}, or add the folder strategies/${name}`,
  })
}

function readStrategy(name: string, folder: string): Strategy {
  const read = (file: string): string => {
    try {
      return readFileSync(join(folder, file), 'utf8')
    } catch (cause) {
      const why = (cause as NodeJS.ErrnoException).code
      throw new CageError(
        'invalid_strategy',
        `the strategy ${name} is broken\n${folder}/${file}: cannot be read (${why})`,
        {
          cause,
        },
      )
    }
  }
  const selectorInstruction = read('selector_instruction.md')
  return parseStrategy({ name, folder, selectorInstruction, adapterInstruction: read('adapter_instruction.md') })
}

function foldersBelow(parent: string): string[] {
  try {
    const entries = readdirSync(parent, { withFileTypes: true })
    return entries
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
      .map(({ name }) => name)
      .sort()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new CageError('invalid_strategy', `the folder ${parent} cannot be read`, { cause: error })
  }
}
