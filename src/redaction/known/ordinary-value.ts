/**
 * Ordinary values: a name, a region, a table, or anything so short that it stands in other words. They are hidden where
 * they are given as a secret, and not in every sentence: the rest would be unreadable.
 */
import * as ascii from '../../core/ascii.ts'
import { secretKind } from '../secrets/secret-name.ts'
import { isAlphanumeric } from '../text/characters.ts'
import type { TextWindow } from '../text/text-window.ts'

/** All shorter values are ordinary. */
const MIN_LENGTH = 8
/** Longer ones are phrases, which people have as passwords. */
const MAX_LENGTH = 16
/** All small, all capitals, or with one capital first. */
const WORD = /^(?:[a-z]+|[A-Z]+|[A-Z][a-z]+)$/
/** Of a region or a node: `us-east-1`. */
const NUMBER = /^\d{1,2}$/
/** Shorter words are abbreviations: some word must be longer. */
const MIN_WORD = 4
/** Share of common pairs of letters that a word of a language has; of random letters, ten have it once in a hundred times. */
const MIN_COMMON = 0.7
/** The most frequent pairs of letters in English. */
const COMMON_PAIRS = new Set(
  (
    'th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi ri ro ic ' +
    'ne ea ra ce li ch ll be ma si om ur ca el ta la ns di fo ho pe ec pr no ct us ac ot il tr ly nc et ut ss so rs un ' +
    'lo wa ge ie wh ee wi em ad ol rt po we na ul ni ts mo ow pa im mi ai sh ir su id os iv ia am fi ci vi pl ig tu ev ' +
    'ld ry mp fe bl ab gh ty op wo sa ay ex ke fr oo av ag if ap gr od bo sp rd do uc bu ei ov by rm ep tt oc fa ef cu ' +
    'rn sc gi da yo cr cl du ga qu ue ff ba ey va um pp up lu go ru ug lt pi rc rr au ck ew mu br bi pt ak pu rg ib ki rk ' +
    'ob fu ph og ub nk'
  ).split(' '),
)

/** Whether a value is very short, or one to three words such as `postgres`, `Production`, `us-east-1`. */
export function isOrdinaryValue(value: string): boolean {
  if (value.length < MIN_LENGTH) return true
  if (value.length > MAX_LENGTH) return false
  const words = value.split(/[-_. ]/)
  if (words.length > 3 || !words.some((word) => word.length >= MIN_WORD && !NUMBER.test(word))) return false
  return words.every((word, index) => (index > 0 && NUMBER.test(word)) || isWord(word))
}

function isWord(word: string): boolean {
  if (!WORD.test(word)) return false
  if (word.length < MIN_WORD) return true
  const lower = word.toLowerCase()
  let common = 0
  for (let i = 1; i < lower.length; i++) if (COMMON_PAIRS.has(lower.slice(i - 1, i + 1))) common++
  return common >= MIN_COMMON * (lower.length - 1)
}

/** How far back the name of a secret is searched for. */
const MAX_BEFORE = 96
/** A name and a sign: `DB_USER=`, `"password": "`, `environ['DB_USER'] = '`, `--token `. */
const NAMED = /([\w.-]+)\\*["'`\]]*\s*(?:=>|:=|[:=]|\s(?:is|to)\s|(?<=\s--[\w-]+)\s)\s*\\*["'`]?$/
const PASSWORD_WORD = /\b(?:password|passphrase|passwd|pwd)\s+["'`]?$/i
/** The user or the password of a URL. */
const USER_INFO = /[a-z][\w+.-]*:\/\/(?:[^\s/@"']*:)?$/i
/** Any part of the URL of a database or a queue. */
const STORE =
  /\b(?:postgres\w*|mysql\w*|mariadb|mongodb|rediss?|amqps?|mssql|sqlserver|oracle|clickhouse|cockroachdb|kafka|nats|ldaps?|smtps?|jdbc:\w+)(?:\+\w+)?:\/\/[^\s"'<>]*[/@:=,]$/i
/** `host=db user=postgres`, `Server=db;User Id=sa` */
const PAIR =
  /(?:^|[\s;"'?&])(?:user(?: ?id|name)?|uid|password|pwd|dbname|database|initial catalog|host|server|data source)=$/i

/** Whether an ordinary value from `start` to `end` is given as a secret. `names`: those that have it in the vault. */
export function standsAsSecret(window: TextWindow, start: number, end: number, names: readonly string[]): boolean {
  if (isOfWord(window.before(start)) || isOfWord(window.at(end))) return false
  const before = window.text.slice(Math.max(0, start - MAX_BEFORE), start)
  const name = NAMED.exec(before)?.[1]
  if (name !== undefined && (isOneOf(names, name) || secretKind(name) !== null)) return true
  if (PASSWORD_WORD.test(before) || STORE.test(before) || PAIR.test(before)) return true
  const next = window.at(end)
  return (next === ascii.COLON || next === ascii.AT) && USER_INFO.test(before)
}

const isOfWord = (code: number): boolean => isAlphanumeric(code) || code === ascii.UNDERSCORE

/** `settings.DB_USER` names `DB_USER`. */
function isOneOf(names: readonly string[], name: string): boolean {
  const last = name.slice(name.lastIndexOf('.') + 1).toUpperCase()
  return names.some((one) => one.toUpperCase() === last)
}
