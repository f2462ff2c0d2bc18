import { resolve } from 'node:path'
import type { Config } from '../config/schema.ts'
import { databaseFiles } from '../db/files.ts'

export interface ServerFileOptions {
  config: Config
  /** The configuration file; null without one. */
  configFile: string | null
  /** The file that the master key was read from. (Default: none.) */
  masterKeyFile?: string | undefined
}

/** Files and folders hidden from an agent even in folders that it may use, and copied into no image. */
export function serverFilesOf({ config, configFile, masterKeyFile }: ServerFileOptions): string[] {
  const { path } = config.db
  return [...databaseFiles(path), masterKeyFile, config.log.dir, configFile, config.price_list.file].flatMap((file) =>
    file ? [resolve(file)] : [],
  )
}
