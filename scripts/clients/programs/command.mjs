/** Commands that are clients: each cell is a process, as in a terminal. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** Yields lines of a command's output as they come. Leaving ends the command. Throws with its output if it fails. */
export async function* linesOf(name, ...words) {
  const command = join(process.cwd(), 'node_modules/.bin', name)
  const child = spawn(existsSync(command) ? command : name, words, { stdio: ['ignore', 'pipe', 'pipe'] })
  const closed = new Promise((resolve) => child.once('close', resolve))
  let [said, rest] = ['', '']
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  try {
    for await (const chunk of child.stdout) {
      said += chunk
      const lines = (rest + chunk).split('\n')
      rest = lines.pop()
      yield* lines
    }
    if (rest) yield rest
    const code = await closed
    if (code !== 0) throw new Error(said)
  } finally {
    child.kill('SIGTERM')
    await closed
  }
}

/** All that a command prints. */
export async function output(name, ...words) {
  const lines = []
  for await (const line of linesOf(name, ...words)) lines.push(line)
  return lines.join('\n')
}
