/** Styles stand beside the component that draws them, and style nothing else. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const web = resolve(import.meta.dirname, '../../web')
const files = readdirSync(web, { recursive: true, encoding: 'utf8' })
const read = (file: string): string => readFileSync(join(web, file), 'utf8')
const sheets = files.filter((file) => file.endsWith('.css')).sort()
const components = files.filter((file) => file.endsWith('.tsx')).map(read)

/** The classes in the selectors of a sheet. */
const classesOf = (css: string): string[] => {
  const selectors = css.replaceAll(/\/\*[\s\S]*?\*\//g, '').match(/[^{};]+(?=\{)/g) ?? []
  const found = selectors.filter((selector) => !selector.trim().startsWith('@')).join(' ')
  return [...new Set([...found.matchAll(/\.([a-z][\w-]*)/g)].map((match) => match[1]!))]
}

const drawn = (name: string, source: string): boolean => new RegExp(`(?<![\\w-])${name}(?![\\w-])`).test(source)

describe('every sheet of the dashboard', () => {
  test.each(sheets.filter((file) => file !== 'base.css'))('%s is imported by its component alone', (sheet) => {
    const name = sheet.split('/').at(-1)!
    const component = sheet.replace(/css$/, 'tsx')
    expect(existsSync(join(web, component)), component).toBe(true)
    expect(read(component)).toContain(`import './${name}'`)
    expect(components.filter((source) => source.includes(`/${name}'`))).toHaveLength(1)
  })

  test.each(sheets)('%s styles only elements that some component draws', (sheet) => {
    const dead = classesOf(read(sheet)).filter((name) => !components.some((source) => drawn(name, source)))
    expect(dead).toEqual([])
  })
})

test('a class that nothing draws is found', () => {
  expect(classesOf('.a-b > .c:hover { color: red }\n@media (max-width: 1.5px) { .d { margin: .5em } }')).toEqual([
    'a-b',
    'c',
    'd',
  ])
  expect(drawn('note', '<p class="note-book">')).toBe(false)
})
