// node compile.mjs <sea.json>: starts a server as the executable would, and writes what V8 compiled for that to where
// the asset `program.cache` is expected. Node's own code cache holds only code that is compiled before anything runs.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { Script } from 'node:vm'

const { assets } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const source = readFileSync(assets['program.cjs'], 'latin1')
const script = new Script(source, { filename: 'iron-cage' })

/** `node:sea` as the executable has it. */
const sea = {
  isSea: () => true,
  getAsset: (name, encoding) => readFileSync(assets[name], encoding),
  getRawAsset: (name) => readFileSync(assets[name]),
}
const nodeRequire = createRequire(import.meta.url)
const require = Object.assign((name) => (name === 'node:sea' ? sea : nodeRequire(name)), nodeRequire)

const folder = mkdtempSync(join(tmpdir(), 'iron-cage-compile-'))
process.chdir(folder)
process.env.HOME = folder
process.argv = [process.execPath, process.execPath, 'serve', '--port', '0']

process.on('exit', () => {
  rmSync(folder, { recursive: true, force: true })
  // A cache is good for the flags it was made with: those of the beginning, before this and the program set their own.
  setFlagsFromString('--semi-space-growth-factor=2')
  setFlagsFromString('--heap-growing-percent=0')
  setFlagsFromString('--invocation-count-for-turbofan=3000')
  setFlagsFromString('--flush-bytecode')
  const cachedData = script.createCachedData()
  if (new Script(source, { filename: 'iron-cage', cachedData }).cachedDataRejected)
    throw new Error('V8 refuses its own cache: are all flags that src/main.ts sets put back here?')
  writeFileSync(assets['program.cache'], cachedData)
})
// As soon as it listens: a server's later work depends on the time, and so would the cache.
const { listen } = Server.prototype
Server.prototype.listen = function (...words) {
  return listen.apply(
    this.once('listening', () => process.exit()),
    words,
  )
}
// Else the collector's rhythm decides how much of it is left.
setFlagsFromString('--no-flush-bytecode')
script.runInThisContext()(require, { exports: {} }, {})
