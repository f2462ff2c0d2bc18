/** The organization of a panel without another name. */
export const ORGANIZATION = 'default'
