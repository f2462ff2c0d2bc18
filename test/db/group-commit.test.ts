/** The writes of one turn of the event loop, in a real file. */
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { GroupCommit } from '../../src/db/group-commit.ts'
import { temporaryFile } from '../support/temporary-file.ts'

/** A group commit over a table of one column, its number of commits, and the result of each share. */
function openGroupCommit() {
  const path = temporaryFile()
  const client = new Sqlite(path)
  client.pragma('journal_mode = WAL')
  client.pragma('busy_timeout = 0')
  client.exec('CREATE TABLE words (word TEXT UNIQUE)')
  const insert = client.prepare('INSERT INTO words VALUES (?)')
  const transaction = client.transaction((work: () => void) => work())
  let committed = 0
  const commits = new GroupCommit((work) => {
    transaction.immediate(work)
    committed += 1
  })
  return {
    path,
    words: () => client.prepare('SELECT word FROM words ORDER BY rowid').pluck().all(),
    commits: () => committed,
    /** Resolves with the error, undefined when it was committed. */
    write: (...words: string[]) =>
      new Promise<unknown>((resolve) => {
        commits.add(() => {
          for (const word of words) insert.run(word)
        }, resolve)
      }),
  }
}

test('the writes of one turn share one commit, in their order of arrival', async () => {
  const { write, words, commits } = openGroupCommit()
  const ended = [write('hold'), write('event', 'row'), write('hold again')]
  expect(words()).toEqual([])
  expect(await Promise.all(ended)).toEqual([undefined, undefined, undefined])
  expect(words()).toEqual(['hold', 'event', 'row', 'hold again'])
  expect(commits()).toBe(1)
})

test('a commit that fails by one share is written without it, and that share is not written in part', async () => {
  const { write, words } = openGroupCommit()
  const ended = await Promise.all([write('one'), write('two', 'one'), write('three')])
  expect(ended.map((error) => (error as Error | undefined)?.message)).toEqual([
    undefined,
    expect.stringContaining('UNIQUE'),
    undefined,
  ])
  expect(words()).toEqual(['one', 'three'])
})

test('a commit that the disk refuses fails for all shares at once, and the next one is tried anew', async () => {
  const { path, write, words } = openGroupCommit()
  const other = new Sqlite(path)
  other.exec('BEGIN IMMEDIATE')
  const refused = { code: 'SQLITE_BUSY' }
  expect(await Promise.all([write('one'), write('two')])).toMatchObject([refused, refused])
  other.exec('COMMIT')
  expect(await write('three')).toBeUndefined()
  expect(words()).toEqual(['three'])
})
