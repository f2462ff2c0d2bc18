/** Flags of commands that use the database of a panel. */
export const DATABASE_HELP = 'PostgreSQL (postgres://user@host/name; a password in PGPASSWORD), or an SQLite file'
export const DEFAULT_DATABASE = 'iron_panel.db'
export const REDIS_HELP =
  'Redis through which panels hear of changes: redis://host, or rediss:// (default: IRON_CAGE_REDIS, or none)'
