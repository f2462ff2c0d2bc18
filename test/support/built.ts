/**
 * The tests run the build: the whole program as it is in dist/, opened in the process that asks. Parts of it that a
 * test opens alone are the sources.
 */
import { resolve } from 'node:path'

const BUILT = resolve(import.meta.dirname, '../../dist/runtime.mjs')

export const { openParts } = (await import(BUILT)) as typeof import('../../src/runtime.ts')
