/** Compares the terminal output shown in a document with the real one. */

/** The lines of a text without the parts that differ from run to run, and from machine to machine. */
export const withoutChance = (text: string): string[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) =>
      line
        .replace(/^\[\d\d:\d\d:\d\d\]/, '[time]')
        .replace(/pid \d+/, 'pid')
        .replace(/localhost:\d+\/#code=.+/, 'localhost')
        .replace(/(Sandbox +).+/, '$1')
        .replaceAll(/\b(ag|c|\w{1,3})-[0-9a-f]{8}\b/g, '<id>')
        .replaceAll(/ in \d+\.\d+s/g, '')
        .replaceAll(/ +/g, ' ')
        .trimEnd(),
    )

/** The printed lines that are shown, each at its first place after the one before; a text that shows others differs. */
export function shownOf(printed: string, shown: string): string[] {
  const rest = withoutChance(printed)
  return withoutChance(shown).filter((line) => {
    const at = rest.indexOf(line)
    if (at >= 0) rest.splice(0, at + 1)
    return at >= 0
  })
}
