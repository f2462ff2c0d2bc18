/** Without an order by cost, in which each call's row would be on another page: the calls that cost most are read from `calls_search`. */
export const costOrder = 'DROP INDEX calls_cost;'
