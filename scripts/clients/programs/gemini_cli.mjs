/**
 * Gemini CLI, asked from a script. Its settings are those that its first start writes for a key; without any, it refuses
 * every address but Google's own.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { run } from './cells.mjs'
import { linesOf, output } from './command.mjs'

const folder = join(homedir(), '.gemini')
mkdirSync(folder, { recursive: true })
const settings = { security: { auth: { selectedType: 'gemini-api-key' } }, privacy: { usageStatisticsEnabled: false } }
writeFileSync(join(folder, 'settings.json'), JSON.stringify(settings))

const FLAGS = ['--skip-trust', '--yolo']
const gemini = (prompt, model) => output('gemini', '-p', prompt, '-m', model, ...FLAGS)

await run(['@google/gemini-cli'], {
  ask: gemini,
  async *stream(prompt, model) {
    for await (const line of linesOf('gemini', '-p', prompt, '-m', model, ...FLAGS, '-o', 'stream-json')) {
      if (!line.startsWith('{')) continue
      const { type, role, content } = JSON.parse(line)
      if (type === 'message' && role === 'assistant') yield content
    }
  },
  tools: gemini,
})
