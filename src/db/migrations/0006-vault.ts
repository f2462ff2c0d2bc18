/**
 * Secrets, each sealed (`vault/vault.ts`). Who did what to them is told by the audit chain and nowhere else:
 * `secret_audit_log` is how the chain's rows about secrets look, with their columns of the chain, so that no copy can
 * say anything else than the chain does.
 */
export const vault = `
CREATE TABLE secrets (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  environment TEXT NOT NULL,
  version INTEGER NOT NULL CHECK (version >= 1),
  masked TEXT NOT NULL,
  parameters TEXT NOT NULL,
  salt BLOB NOT NULL,
  nonce BLOB NOT NULL,
  ciphertext BLOB NOT NULL,
  previous_version INTEGER,
  previous_nonce BLOB,
  previous_ciphertext BLOB,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  rotated_at TEXT,
  deleted_at TEXT
) STRICT;
CREATE UNIQUE INDEX secrets_by_name ON secrets (environment, name) WHERE deleted_at IS NULL;

-- Of "secret." and what follows it, and nothing else: every call would pay for more.
CREATE INDEX audit_of_secrets ON audit (target) WHERE action >= 'secret.' AND action < 'secret/';

CREATE VIEW secret_audit_log AS
SELECT
  'sal-' || seq AS id,
  target AS secret_name,
  substr(action, 8) AS operation,
  role AS requester_role,
  details ->> '$.agent_id' AS agent_id,
  CAST(details ->> '$.success' AS INTEGER) AS success,
  details ->> '$.error' AS error_message,
  at AS timestamp,
  seq,
  previous,
  hash
FROM audit
WHERE action >= 'secret.' AND action < 'secret/';

ALTER TABLE pii_incidents ADD COLUMN sealed_original BLOB;
`
