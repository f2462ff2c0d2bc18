// Where the executable begins: the program is not compiled but read, with all functions that a start needs (compile.mjs).
'use strict'
const { getRawAsset } = require('node:sea')
const { Script } = require('node:vm')

// esbuild writes ASCII only.
const source = Buffer.from(getRawAsset('program.cjs')).latin1Slice()
const cachedData = Buffer.from(getRawAsset('program.cache'))
new Script(source, { filename: 'iron-cage', cachedData }).runInThisContext()(require, module, exports)
