/**
 * `user@host` in commands, prompts and code: an account on a machine, a unit, a product of matrices. None of them is an
 * e-mail address, although a host may have the domain of one.
 */
import * as ascii from '../../core/ascii.ts'
import { isAlphanumeric } from '../text/characters.ts'
import type { TextWindow } from '../text/text-window.ts'

/** How far back a command is searched for. */
const MAX_COMMAND = 120
/** How much of what follows is read: with the longest address, not more than a stream holds back. */
const MAX_PATH = 22

const BEGINS_COMMAND = '(?:^|[\\s;&|`$("\'>\\[:/])'
const LOGIN = 'ssh|scp|sftp|rsync|mosh|sshfs|autossh|ssh-copy-id'
const LOGIN_COMMAND = new RegExp(LOGIN)
/** Options with their values, then the target. */
const LOGIN_TARGET = new RegExp(`${BEGINS_COMMAND}(?:${LOGIN})(?: +-{1,2}[\\w-]+(?:[= ][^\\s-]\\S*)?)* +["'\`]?$`)
/** Files may stand before the target of these. */
const COPIES = new RegExp(`${BEGINS_COMMAND}(?:scp|sftp|rsync) [^;&|]*$`)
/** Names of units, contexts and clusters have the form too. */
const NAMES_IN_COMMAND = new RegExp(
  `${BEGINS_COMMAND}(?:systemctl|journalctl|systemd-\\w+|kubectl|kubectx|kubectl-\\w+|helm|oc|eksctl|gcloud compute) [^;&|]*$`,
)
const OPTION = /\b(?:proxyjump|current-context|context|cluster)["']?[ =:]+["']?$/i

/** An operand may follow. */
const EXPRESSION = /[\w\])] ?[=+*/-] $|[[(]$/
/** Two names, and an attribute of arrays that is a top-level domain too. */
const PRODUCT = /^[a-z_]\w*@[a-z_]\w*\.(?:data|int|map|name|to|top)$/i

/** Whether the match from `start` to `end` is an account in a command or a prompt: in any text. */
export function isAccount(window: TextWindow, start: number, end: number): boolean {
  const [before, next] = [window.before(start), window.at(end)]
  if (next === ascii.COLON && isPathSign(window.at(end + 1)) && isPromptAt(window, end + 1)) return true
  if (next === ascii.SPACE && before === ascii.OPEN_BRACKET && isPromptAt(window, end + 1)) return true
  if (before !== ascii.SPACE && window.before(start - 1) !== ascii.SPACE) return false
  const line = lineBefore(window, start)
  return LOGIN_COMMAND.test(line) && LOGIN_TARGET.test(line)
}

/** Whether an address of a text is something else in code: a call, an attribute, a unit, a path on a host. */
export function isNameInCode(window: TextWindow, start: number, end: number): boolean {
  const next = window.at(end)
  // `W@x.to(device)`, `W@x.toDevice`
  if (next === ascii.OPEN_PARENTHESIS || isAlphanumeric(next)) return true
  // `W@x.to_dense()`, `q@k.data.mean`
  if ((next === ascii.UNDERSCORE || next === ascii.DOT) && isAlphanumeric(window.at(end + 1))) return true
  // `a@b.data`
  const at = window.text.indexOf('@', start)
  if (at - start === 1 && window.text.charCodeAt(at + 2) === ascii.DOT) return true
  // `deploy@example.com:team/app.git`
  if (next === ascii.COLON && isPathAt(window, end + 1)) return true
  // `$USER@host`, `%s@host`
  const before = window.before(start)
  if (before === ascii.DOLLAR || before === ascii.PERCENT) return true
  const line = lineBefore(window, start)
  if (NAMES_IN_COMMAND.test(line) || OPTION.test(line) || (next === ascii.COLON && COPIES.test(line))) return true
  // `y = weights@inputs.data`
  return EXPRESSION.test(line) && PRODUCT.test(window.text.slice(start, end))
}

/** The text before a position on its line. Code in JSON has its line breaks escaped. */
function lineBefore(window: TextWindow, start: number): string {
  const text = window.text.slice(Math.max(0, start - MAX_COMMAND), start)
  const line = text.slice(text.lastIndexOf('\n') + 1)
  const escaped = line.lastIndexOf('\\n')
  return escaped < 0 ? line : line.slice(escaped + 2)
}

/** A folder and a sign that ends a prompt: `~#`, `/srv/app$`, `app]$`. */
function isPromptAt(window: TextWindow, from: number): boolean {
  let end = from
  while (end - from < MAX_PATH && isOfPath(window.at(end))) end++
  if (window.at(end) === ascii.CLOSE_BRACKET) end++
  const sign = window.at(end)
  return sign === ascii.DOLLAR || sign === ascii.HASH || sign === ascii.PERCENT
}

/** `/srv`, `~/app`, `team/app.git` */
function isPathAt(window: TextWindow, from: number): boolean {
  for (let end = from; end - from < MAX_PATH; end++) {
    const code = window.at(end)
    if (isPathSign(code)) return true
    if (!isOfPath(code)) return false
  }
  return false
}

function isOfPath(code: number): boolean {
  return code < ascii.END && (isAlphanumeric(code) || isPathMark(code))
}

const isPathMark = ascii.oneOf('/~.-_')

/** A slash or a tilde. */
const isPathSign = (code: number): boolean => code === ascii.SLASH || code === ascii.TILDE
