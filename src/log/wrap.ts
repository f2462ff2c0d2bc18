/**
 * Wraps lines that are wider than the terminal at their spaces, below the column they are in. A word that is too long,
 * such as a URL, is not broken. `columns`: (Default: nothing is wrapped.)
 */
export const wrapLines = (lines: readonly string[], columns: number | undefined): string[] =>
  columns === undefined ? [...lines] : lines.flatMap((line) => wrapLine(line, Math.max(columns, MIN_COLUMNS)))

const MIN_COLUMNS = 40

function wrapLine(line: string, columns: number): string[] {
  if (line.length <= columns) return [line]
  const [before] = /^ *(?:[├└│]\S*)? *(?:\S+(?: \S+)* {2,})*/.exec(line)!
  // A column that begins far to the right leaves too little room.
  const indent = before.length > columns / 2 ? before.search(/\S|$/) + 2 : before.length
  const rail = /^ *[├│]/.test(line) ? '  │' : ''
  const hanging = rail.padEnd(indent)
  const wrapped = [line.slice(0, before.length)]
  for (const [index, word] of line.slice(before.length).split(' ').entries()) {
    const last = wrapped.at(-1)!
    const glue = index === 0 || last === hanging ? '' : ' '
    if (last.length + glue.length + word.length <= columns) wrapped[wrapped.length - 1] = last + glue + word
    // A terminal would break a URL that begins too far to the right.
    else wrapped.push((indent + word.length <= columns ? hanging : outdented(rail, word, columns)) + word)
  }
  return wrapped.map((text) => text.trimEnd()).filter((text) => text !== '')
}

const outdented = (rail: string, word: string, columns: number): string => {
  const indent = rail && `${rail} `
  return indent.length + word.length <= columns ? indent : ''
}
