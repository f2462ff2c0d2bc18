#!/usr/bin/env node
// Old JavaScript on purpose: this must run, and explain, on a Node that cannot load the rest
// (better-sqlite3 crashes without a word before Node 22.14).
'use strict'
// Before anything else: without a listener Node opens a debugger for whoever sends this signal.
process.on('SIGUSR1', function () {})
var version = process.versions.node.split('.').map(Number)
if (version[0] < 22 || (version[0] === 22 && version[1] < 21)) {
  console.error(
    'iron-cage: needs Node 22.21 or newer, this is Node ' + process.versions.node + ' (' + process.execPath + ').\n' +
      '  In a checkout, "npx iron-cage" uses the Node that "npm ci" brought; elsewhere install Node 24.'
  )
  process.exit(2)
}
var path = require('node:path')
var entry = path.join(__dirname, '..', 'dist', 'iron-cage.mjs')
if (!require('node:fs').existsSync(entry)) {
  console.error('iron-cage: not built yet (' + entry + ' is missing). Run: npm run build')
  process.exit(2)
}
// Compiling three megabytes at every start costs a third of it.
require('node:module').enableCompileCache()
import(require('node:url').pathToFileURL(entry).href)
