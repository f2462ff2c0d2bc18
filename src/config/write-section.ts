/** Rewrites one section of a configuration file. The rest of the file stays as it is, byte for byte. */
import { parse as parseToml } from 'smol-toml'
import { isMap, isScalar, type Node, type Pair, parseDocument } from 'yaml'
import { CageError } from '../core/errors.ts'

type Values = Readonly<Record<string, string>>

/** Returns the file's text with the section. Throws CageError `usage` where the section stands in another form. */
export const withSection = (text: string, isToml: boolean, name: string, values: Values): string =>
  isToml ? withTomlTable(text, name, values) : withYamlKey(text, name, values)

function withYamlKey(text: string, name: string, values: Values): string {
  const document = parseDocument(text, { version: '1.2' })
  const root = document.contents
  if (isMap(root) && root.flow) {
    document.set(name, values)
    return document.toString({ lineWidth: 0 })
  }
  const lines = Object.entries(values).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`)
  const section = [`${name}:`, ...lines, ''].join('\n')
  const pair: Pair | undefined = isMap(root)
    ? root.items.find(({ key }) => isScalar(key) && key.value === name)
    : undefined
  if (!pair) return `${withLineEnd(text)}${section}`
  const [start] = (pair.key as Node).range!
  const end = (pair.value as Node).range![2]
  return `${text.slice(0, start)}${section}${text.slice(end)}`
}

function withTomlTable(text: string, name: string, values: Values): string {
  const lines = Object.entries(values).map(([key, value]) => `${key} = ${JSON.stringify(value)}`)
  const section = [`[${name}]`, ...lines, ''].join('\n')
  const table = new RegExp(`^\\[${name}\\][^\\n]*\\n(?:(?!\\[)[^\\n]*\\n)*(?:(?!\\[)[^\\n]+$(?![\\s\\S]))?`, 'm')
  if (table.test(text)) return text.replace(table, () => section)
  if (Object.hasOwn(parseToml(text), name)) {
    throw new CageError('usage', `${name} is not a table of its own`, {
      hint: `write it as [${name}]`,
      facts: { name },
    })
  }
  return `${withLineEnd(text)}${section}`
}

const withLineEnd = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`)
