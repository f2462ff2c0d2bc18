/** Paths of files and folders. */
import { existsSync, realpathSync } from 'node:fs'
import { resolve, sep } from 'node:path'

/** The path without links; of a missing file the absolute one. */
export const realPath = (path: string): string => (existsSync(path) ? realpathSync(path) : resolve(path))

/** True for the folder itself as well. */
export const isBelow = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder === sep ? sep : folder + sep)
