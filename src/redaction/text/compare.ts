/** How the values of findings are compared. */

/** Letters and digits only: "+1 (415) 733-2671" equals "14157332671". */
export const normalizeForCompare = (value: string): string =>
  value
    .normalize('NFKC')
    .replace(/[^\p{L}\p{N}]/gu, '')
    .toUpperCase()
