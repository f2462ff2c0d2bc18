-- A database of version 0.1.0, as its own code wrote it: `start` of an agent that reported a charge, a user, a token, a secret.
CREATE TABLE events (
  seq INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  agent_id TEXT,
  level TEXT NOT NULL,
  type TEXT NOT NULL,
  message TEXT NOT NULL,
  data TEXT NOT NULL
) STRICT;
CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  agent_id TEXT NOT NULL,
  name TEXT NOT NULL,
  script TEXT NOT NULL,
  environment TEXT NOT NULL,
  restart INTEGER NOT NULL,
  pid INTEGER NOT NULL,
  pid_started TEXT,
  started_at TEXT NOT NULL,
  ended_at TEXT,
  exit_code INTEGER,
  signal TEXT
) STRICT;
CREATE TABLE budgets (
  agent_id TEXT PRIMARY KEY,
  limit_nanos INTEGER NOT NULL CHECK (limit_nanos >= 0),
  warned_limit_nanos INTEGER,
  exhausted_limit_nanos INTEGER
, period_starts_at TEXT) STRICT;
CREATE TABLE pii_incidents (
  id TEXT PRIMARY KEY,
  at TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  call_id TEXT,
  type TEXT NOT NULL,
  severity TEXT NOT NULL CHECK (severity IN ('CRITICAL', 'WARN')),
  action TEXT NOT NULL CHECK (action IN ('redact', 'block', 'warn')),
  place TEXT NOT NULL,
  value_hash TEXT NOT NULL,
  start INTEGER NOT NULL,
  "end" INTEGER NOT NULL
, original TEXT NOT NULL DEFAULT 'not_kept', sealed_original BLOB) STRICT;
CREATE TABLE checkpoints (
  agent_name TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  data TEXT NOT NULL,
  saved_at TEXT NOT NULL
) STRICT;
CREATE TABLE service_cache (
  service TEXT NOT NULL,
  request_key TEXT NOT NULL,
  status INTEGER NOT NULL,
  content_type TEXT NOT NULL,
  body BLOB NOT NULL,
  stored_at TEXT NOT NULL,
  PRIMARY KEY (service, request_key)
) STRICT;
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;
CREATE TABLE alerts (
  id TEXT PRIMARY KEY,
  at TEXT NOT NULL,
  agent_id TEXT,
  kind TEXT NOT NULL,
  level TEXT NOT NULL,
  title TEXT NOT NULL,
  detail TEXT NOT NULL,
  source_seq INTEGER NOT NULL,
  acknowledged_at TEXT,
  acknowledged_by TEXT
) STRICT;
CREATE TABLE alert_deliveries (
  alert_id TEXT NOT NULL REFERENCES alerts (id),
  channel TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
  attempts INTEGER NOT NULL DEFAULT 0,
  error TEXT,
  ended_at TEXT,
  PRIMARY KEY (alert_id, channel)
) STRICT;
CREATE TABLE api_tokens (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('admin', 'viewer', 'agent')),
  agent_id TEXT,
  hash TEXT NOT NULL UNIQUE,
  created_at TEXT NOT NULL,
  expires_at TEXT,
  revoked_at TEXT, created_by TEXT NOT NULL DEFAULT 'operator',
  CHECK ((role = 'agent') = (agent_id IS NOT NULL))
) STRICT;
CREATE TABLE "calls" (
  agent_id TEXT NOT NULL,
  id TEXT NOT NULL,
  run_id TEXT,
  kind TEXT NOT NULL CHECK (kind IN ('llm', 'service', 'reported', 'correction')),
  target TEXT NOT NULL,
  model TEXT,
  state TEXT NOT NULL CHECK (state IN ('held', 'charged', 'released', 'unresolved')),
  held_nanos INTEGER NOT NULL CHECK (held_nanos >= 0),
  cost_nanos INTEGER NOT NULL DEFAULT 0 CHECK (cost_nanos >= 0 OR kind = 'correction'),
  estimated INTEGER NOT NULL DEFAULT 0,
  price TEXT,
  usage TEXT,
  status INTEGER,
  code TEXT,
  started_at TEXT NOT NULL,
  ended_at TEXT,
  corrects TEXT,
  reason TEXT,
  PRIMARY KEY (agent_id, id),
  CHECK ((kind = 'correction') = (corrects IS NOT NULL)),
  CHECK (kind <> 'correction' OR (state = 'charged' AND held_nanos = 0))
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  role TEXT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT,
  details TEXT NOT NULL,
  previous BLOB NOT NULL,
  hash BLOB NOT NULL
) STRICT;
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
CREATE TABLE users (
  id TEXT PRIMARY KEY,
  username TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL CHECK (role IN ('admin', 'viewer')),
  password_hash TEXT NOT NULL,
  created_at TEXT NOT NULL,
  password_changed_at TEXT NOT NULL
) STRICT;
CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
  refresh_hash TEXT NOT NULL,
  used_at TEXT NOT NULL
) STRICT;
INSERT INTO events VALUES (1, '2026-11-22T15:01:39.399Z', NULL, 'INFO', 'vault.opened', 'The vault is open, with 0 secrets', '{"secrets":[]}');
INSERT INTO events VALUES (2, '2026-11-22T15:01:39.420Z', NULL, 'WARN', 'vault.exposed', 'Agents can read the master key in the environment of process 7510, which started this one: name a file in IRON_CAGE_MASTER_KEY_FILE instead', '{"pids":[7510]}');
INSERT INTO events VALUES (3, '2026-11-22T15:01:57.082Z', 'c-e7ad3f50', 'OK', 'agent.started', 'ci may call, budget $5.00', '{"run_id":"run-16ca67d98613","name":"ci","script":"(API token)","environment":"development","pid":null,"restart":0,"limit_usd":"5","safety_mode":"redact","detect":["email","phone","ssn","credit_card","iban","secret"]}');
INSERT INTO events VALUES (4, '2026-11-22T15:02:06.660Z', NULL, 'INFO', 'vault.opened', 'The vault is open, with 0 secrets', '{"secrets":[]}');
INSERT INTO events VALUES (5, '2026-11-22T15:02:07.149Z', NULL, 'INFO', 'secret.created', 'OPENAI_API_KEY of development was put into the vault', '{"secret_id":"secret-80fd367ac6b3dcf6","name":"OPENAI_API_KEY","environment":"development","version":1,"masked":"sk-o…gh"}');
INSERT INTO events VALUES (6, '2026-11-22T15:02:21.891Z', NULL, 'INFO', 'vault.opened', 'The vault is open, with 1 secret', '{"secrets":[{"id":"secret-80fd367ac6b3dcf6","name":"OPENAI_API_KEY","environment":"development","masked":"sk-o…gh","version":1,"created_at":"2026-11-22T15:02:07.141Z","updated_at":"2026-11-22T15:02:07.141Z","rotated_at":null,"deleted_at":null}]}');
INSERT INTO events VALUES (7, '2026-11-22T15:02:22.146Z', NULL, 'WARN', 'vault.exposed', 'Agents can read the master key in the environment of process 9772, which started this one: name a file in IRON_CAGE_MASTER_KEY_FILE instead', '{"pids":[9772]}');
INSERT INTO events VALUES (8, '2026-11-22T15:02:22.196Z', NULL, 'INFO', 'server.started', 'Iron Cage 0.1.0 listens on http://localhost:18433', '{"version":"0.1.0","url":"http://localhost:18433","pid":9773}');
INSERT INTO events VALUES (9, '2026-11-22T15:02:22.198Z', NULL, 'DEBUG', 'config.loaded', 'No configuration file; defaults, flags and environment apply', '{"file":null}');
INSERT INTO events VALUES (10, '2026-11-22T15:02:22.223Z', 'w-7ab26a49', 'OK', 'agent.started', 'worker started, pid 10010', '{"run_id":"run-4bf74024833d","name":"worker","script":"/tmp/db010/worker.py","restart":0,"pid":10010,"environment":"development","limit_usd":"5","safety_mode":"redact","detect":["email","phone","ssn","credit_card","iban","secret"]}');
INSERT INTO events VALUES (11, '2026-11-22T15:02:22.594Z', 'w-7ab26a49', 'DEBUG', 'progress.updated', '1 / 2 leads', '{"done":1,"total":2,"unit":"leads","label":null}');
INSERT INTO events VALUES (12, '2026-11-22T15:02:22.629Z', 'w-7ab26a49', 'INFO', 'service.called', 'serp_api reported $0.25', '{"call_id":"call-1a203c79aa1000025b2f9","service":"serp_api","ok":true,"status":200,"tier":1,"blocked":false,"cost_usd":"0.25","saved_usd":"0","latency_ms":0}');
INSERT INTO events VALUES (13, '2026-11-22T15:02:22.638Z', 'w-7ab26a49', 'INFO', 'agent.output', 'done', '{"stream":"stdout","text":"done"}');
INSERT INTO events VALUES (14, '2026-11-22T15:02:22.804Z', 'w-7ab26a49', 'OK', 'agent.exited', 'worker completed: exit code 0', '{"run_id":"run-4bf74024833d","exit_code":0,"signal":null,"state":"completed","reason":"exit code 0","restart_in_ms":null}');
INSERT INTO events VALUES (15, '2026-11-22T15:02:22.845Z', NULL, 'INFO', 'server.stopped', 'Server stopped: the agent has ended', '{"reason":"the agent has ended"}');
INSERT INTO runs VALUES ('run-4bf74024833d', 'w-7ab26a49', 'worker', '/tmp/db010/worker.py', 'development', 0, 10010, '62bf7989-e96c-42df-b5bb-3d62462c6500:1742177', '2026-11-22T15:02:22.220Z', '2026-11-22T15:02:22.803Z', 0, NULL);
INSERT INTO budgets VALUES ('c-e7ad3f50', 5000000000, NULL, NULL, NULL);
INSERT INTO budgets VALUES ('w-7ab26a49', 5000000000, NULL, NULL, NULL);
INSERT INTO meta VALUES ('vault', '{"salt":"b33058eb2a126effb890516b9e834378","nonce":"3114a04df688e9925e567de3","key":"14c45342c419486b947a99c54284f902c6712b977d9c9a740448df382a62d265cd6af2cf90a06f127a78a78ca39a90fb"}');
INSERT INTO meta VALUES ('snapshot', '{"version":6,"snapshot":{"seq":15,"at":"2026-11-22T15:02:22.845Z","server":null,"server_budget":null,"run_limit_usd":null,"agents":{"c-e7ad3f50":{"id":"c-e7ad3f50","name":"ci","script":"(API token)","environment":"development","state":"running","reason":null,"run_id":"run-16ca67d98613","pid":null,"exit_code":null,"signal":null,"restarts":0,"started_at":"2026-11-22T15:01:57.082Z","paused_at":null,"ended_at":null,"down_ms":0,"safety_mode":"redact","detect":["email","phone","ssn","credit_card","iban","secret"],"limit_usd":"5","spent_usd":"0","run_spent_usd":"0","period":null,"warned":false,"exhausted":false,"by_model":{},"by_service":{},"downgraded_saved_usd":"0","burn":[{"at":"2026-11-22T15:01:57.082Z","done":0,"spent_usd":"0"}],"progress":null,"outcomes":{"succeeded":0,"failed":0,"degraded":0},"calls":{"completed":0,"failed":0},"call_latency":{},"unit_latency":{},"pii":{},"last_pii":null},"w-7ab26a49":{"id":"w-7ab26a49","name":"worker","script":"/tmp/db010/worker.py","environment":"development","state":"completed","reason":"exit code 0","run_id":"run-4bf74024833d","pid":null,"exit_code":0,"signal":null,"restarts":0,"started_at":"2026-11-22T15:02:22.223Z","paused_at":null,"ended_at":"2026-11-22T15:02:22.804Z","down_ms":0,"safety_mode":"redact","detect":["email","phone","ssn","credit_card","iban","secret"],"limit_usd":"5","spent_usd":"0.25","run_spent_usd":"0","period":null,"warned":false,"exhausted":false,"by_model":{},"by_service":{"serp_api":{"calls":1,"cost_usd":"0.25","live":1,"cached":0,"placeholder":0,"failed":0,"blocked":0,"saved_usd":"0"}},"downgraded_saved_usd":"0","burn":[{"at":"2026-11-22T15:02:22.223Z","done":0,"spent_usd":"0"},{"at":"2026-11-22T15:02:22.594Z","done":1,"spent_usd":"0"}],"progress":{"done":1,"total":2,"unit":"leads","label":null,"first_at":"2026-11-22T15:02:22.594Z","last_at":"2026-11-22T15:02:22.594Z"},"outcomes":{"succeeded":0,"failed":0,"degraded":0},"calls":{"completed":0,"failed":0},"call_latency":{},"unit_latency":{},"pii":{},"last_pii":null}},"circuits":{"serp_api":{"name":"serp_api","state":"closed","opened_at":null,"cooldown_ms":0,"forced":false,"trips":0,"last_trip_at":null,"blocked":0,"saved_usd":"0","fallbacks":0,"unanswered":0,"reason":null}},"alerts":[],"vault":{"state":"open","hint":null},"secrets":{"secret-80fd367ac6b3dcf6":{"id":"secret-80fd367ac6b3dcf6","name":"OPENAI_API_KEY","environment":"development","masked":"sk-o…gh","version":1,"created_at":"2026-11-22T15:02:07.141Z","updated_at":"2026-11-22T15:02:07.141Z","rotated_at":null,"deleted_at":null}},"recent":[{"seq":1,"at":"2026-11-22T15:01:39.399Z","agent_id":null,"level":"INFO","type":"vault.opened","message":"The vault is open, with 0 secrets","data":{"secrets":[]}},{"seq":2,"at":"2026-11-22T15:01:39.420Z","agent_id":null,"level":"WARN","type":"vault.exposed","message":"Agents can read the master key in the environment of process 7510, which started this one: name a file in IRON_CAGE_MASTER_KEY_FILE instead","data":{"pids":[7510]}},{"seq":3,"at":"2026-11-22T15:01:57.082Z","agent_id":"c-e7ad3f50","level":"OK","type":"agent.started","message":"ci may call, budget $5.00","data":{"run_id":"run-16ca67d98613","name":"ci","script":"(API token)","environment":"development","pid":null,"restart":0,"limit_usd":"5","safety_mode":"redact","detect":["email","phone","ssn","credit_card","iban","secret"]}},{"seq":4,"at":"2026-11-22T15:02:06.660Z","agent_id":null,"level":"INFO","type":"vault.opened","message":"The vault is open, with 0 secrets","data":{"secrets":[]}},{"seq":5,"at":"2026-11-22T15:02:07.149Z","agent_id":null,"level":"INFO","type":"secret.created","message":"OPENAI_API_KEY of development was put into the vault","data":{"secret_id":"secret-80fd367ac6b3dcf6","name":"OPENAI_API_KEY","environment":"development","version":1,"masked":"sk-o…gh"}},{"seq":6,"at":"2026-11-22T15:02:21.891Z","agent_id":null,"level":"INFO","type":"vault.opened","message":"The vault is open, with 1 secret","data":{"secrets":[{"id":"secret-80fd367ac6b3dcf6","name":"OPENAI_API_KEY","environment":"development","masked":"sk-o…gh","version":1,"created_at":"2026-11-22T15:02:07.141Z","updated_at":"2026-11-22T15:02:07.141Z","rotated_at":null,"deleted_at":null}]}},{"seq":7,"at":"2026-11-22T15:02:22.146Z","agent_id":null,"level":"WARN","type":"vault.exposed","message":"Agents can read the master key in the environment of process 9772, which started this one: name a file in IRON_CAGE_MASTER_KEY_FILE instead","data":{"pids":[9772]}},{"seq":8,"at":"2026-11-22T15:02:22.196Z","agent_id":null,"level":"INFO","type":"server.started","message":"Iron Cage 0.1.0 listens on http://localhost:18433","data":{"version":"0.1.0","url":"http://localhost:18433","pid":9773}},{"seq":9,"at":"2026-11-22T15:02:22.198Z","agent_id":null,"level":"DEBUG","type":"config.loaded","message":"No configuration file; defaults, flags and environment apply","data":{"file":null}},{"seq":10,"at":"2026-11-22T15:02:22.223Z","agent_id":"w-7ab26a49","level":"OK","type":"agent.started","message":"worker started, pid 10010","data":{"run_id":"run-4bf74024833d","name":"worker","script":"/tmp/db010/worker.py","restart":0,"pid":10010,"environment":"development","limit_usd":"5","safety_mode":"redact","detect":["email","phone","ssn","credit_card","iban","secret"]}},{"seq":11,"at":"2026-11-22T15:02:22.594Z","agent_id":"w-7ab26a49","level":"DEBUG","type":"progress.updated","message":"1 / 2 leads","data":{"done":1,"total":2,"unit":"leads","label":null}},{"seq":12,"at":"2026-11-22T15:02:22.629Z","agent_id":"w-7ab26a49","level":"INFO","type":"service.called","message":"serp_api reported $0.25","data":{"call_id":"call-1a203c79aa1000025b2f9","service":"serp_api","ok":true,"status":200,"tier":1,"blocked":false,"cost_usd":"0.25","saved_usd":"0","latency_ms":0}},{"seq":13,"at":"2026-11-22T15:02:22.638Z","agent_id":"w-7ab26a49","level":"INFO","type":"agent.output","message":"done","data":{"stream":"stdout","text":"done"}},{"seq":14,"at":"2026-11-22T15:02:22.804Z","agent_id":"w-7ab26a49","level":"OK","type":"agent.exited","message":"worker completed: exit code 0","data":{"run_id":"run-4bf74024833d","exit_code":0,"signal":null,"state":"completed","reason":"exit code 0","restart_in_ms":null}},{"seq":15,"at":"2026-11-22T15:02:22.845Z","agent_id":null,"level":"INFO","type":"server.stopped","message":"Server stopped: the agent has ended","data":{"reason":"the agent has ended"}}]}}');
INSERT INTO api_tokens VALUES ('token-5bfcc0fea09f', 'ci', 'agent', 'c-e7ad3f50', '0700e30f92bd1009950a6ffe7c24528e4cebc84c9efca8c5274ccf271ebc5b6f', '2026-11-22T15:01:57.091Z', NULL, NULL, 'operator');
INSERT INTO calls VALUES ('w-7ab26a49', 'call-1a203c79aa1000025b2f9', 'run-4bf74024833d', 'reported', 'serp_api', NULL, 'charged', 250000000, 250000000, 0, 'null', 'null', NULL, NULL, '2026-11-22T15:02:22.626Z', '2026-11-22T15:02:22.626Z', NULL, NULL);
INSERT INTO audit VALUES (1, '2026-11-22T15:01:39.399Z', 'system', 'iron-cage', 'vault.opened', NULL, '{"secrets":0}', X'0000000000000000000000000000000000000000000000000000000000000000', X'17C3DD125F89D9F55314E55898FA9C877FEDF6F42AA7D06C79E746E46AF2D0F3');
INSERT INTO audit VALUES (2, '2026-11-22T15:01:39.420Z', 'system', 'iron-cage', 'vault.exposed', NULL, '{"pids":[7510]}', X'17C3DD125F89D9F55314E55898FA9C877FEDF6F42AA7D06C79E746E46AF2D0F3', X'EA0A7FDB41E8F4CBECA2932E84A4B15F745B6D803FE6E9EC7CDF421DDC5F4F03');
INSERT INTO audit VALUES (3, '2026-11-22T15:01:48.780Z', 'admin', 'operator', 'user.create', NULL, '{}', X'EA0A7FDB41E8F4CBECA2932E84A4B15F745B6D803FE6E9EC7CDF421DDC5F4F03', X'29C77DA07B6088CAC6EACF6DE5A6CC675A5316264440BB3B57B0D71F85EBA13D');
INSERT INTO audit VALUES (4, '2026-11-22T15:01:49.086Z', 'admin', 'operator', 'user.created', 'user-83fa82b1e09a', '{"username":"ann","role":"viewer"}', X'29C77DA07B6088CAC6EACF6DE5A6CC675A5316264440BB3B57B0D71F85EBA13D', X'64D59A6A44B3445E614AE4FD8EC46E239C6139B3F68BBE5581DF618D539A7CEC');
INSERT INTO audit VALUES (5, '2026-11-22T15:01:57.046Z', 'admin', 'operator', 'token.create', NULL, '{}', X'64D59A6A44B3445E614AE4FD8EC46E239C6139B3F68BBE5581DF618D539A7CEC', X'4A8D3E2C1820A14A8B85F993338F2DDC68B79BAADBAD67AAEE7A9A5D05FA1D7E');
INSERT INTO audit VALUES (6, '2026-11-22T15:01:57.092Z', 'admin', 'operator', 'token.created', 'token-5bfcc0fea09f', '{"name":"ci","role":"agent","agent_id":"c-e7ad3f50","expires_at":null}', X'4A8D3E2C1820A14A8B85F993338F2DDC68B79BAADBAD67AAEE7A9A5D05FA1D7E', X'60DC343C042709DEACDA695D0DF93DC607727E5AE0F5932F42D249BC442EEDA5');
INSERT INTO audit VALUES (7, '2026-11-22T15:02:06.660Z', 'system', 'iron-cage', 'vault.opened', NULL, '{"secrets":0}', X'60DC343C042709DEACDA695D0DF93DC607727E5AE0F5932F42D249BC442EEDA5', X'9A76A87023BFEE3FE4EDEB6C1EA168411B89D05EDDC8AD720A9E39661B839102');
INSERT INTO audit VALUES (8, '2026-11-22T15:02:07.087Z', 'admin', 'operator', 'POST /api/secrets', NULL, '{}', X'9A76A87023BFEE3FE4EDEB6C1EA168411B89D05EDDC8AD720A9E39661B839102', X'D2C9503862EFBDBC250D18FFBEA5BBA49BF95EB305A9C8D0FFC3E6CBD046354E');
INSERT INTO audit VALUES (9, '2026-11-22T15:02:07.148Z', 'admin', 'operator', 'secret.create', 'OPENAI_API_KEY', '{"secret_id":"secret-80fd367ac6b3dcf6","environment":"development","version":1,"agent_id":null,"success":true,"row_hash":"2b67b9522e74d361d057366e86ae5456fc069bbf0ec9acd7902660bde70cdf1f"}', X'D2C9503862EFBDBC250D18FFBEA5BBA49BF95EB305A9C8D0FFC3E6CBD046354E', X'DAAF68292E9D28C529668B1E86BFE298318551E6664C304238AAB3A5498A975A');
INSERT INTO audit VALUES (10, '2026-11-22T15:02:21.891Z', 'system', 'iron-cage', 'vault.opened', NULL, '{"secrets":1}', X'DAAF68292E9D28C529668B1E86BFE298318551E6664C304238AAB3A5498A975A', X'3CF90A57AAE47CFB832EE15C75E8AB21461D29D8B887B833BA0D6D43B8B4E41A');
INSERT INTO audit VALUES (11, '2026-11-22T15:02:22.146Z', 'system', 'iron-cage', 'vault.exposed', NULL, '{"pids":[9772]}', X'3CF90A57AAE47CFB832EE15C75E8AB21461D29D8B887B833BA0D6D43B8B4E41A', X'314126705DA0246216348364F75FC2E70CC4941D65DABB426170920CDE573659');
INSERT INTO audit VALUES (12, '2026-11-22T15:02:22.198Z', 'system', 'iron-cage', 'config.loaded', NULL, '{"file":null}', X'314126705DA0246216348364F75FC2E70CC4941D65DABB426170920CDE573659', X'8FAE6AF82376D0A14D9C584DF4A160803E1D7088F56DB1BE9BDB0724B3C1D5BD');
INSERT INTO audit VALUES (13, '2026-11-22T15:02:22.203Z', 'agent', 'w-7ab26a49', 'secret.read', 'OPENAI_API_KEY', '{"secret_id":"secret-80fd367ac6b3dcf6","environment":"development","version":1,"agent_id":"w-7ab26a49","success":true}', X'8FAE6AF82376D0A14D9C584DF4A160803E1D7088F56DB1BE9BDB0724B3C1D5BD', X'AECC9C682B50DA7F52FB9B046EF3BD76E2EB54719AB8B39658E85F817569E6A3');
INSERT INTO secrets VALUES ('secret-80fd367ac6b3dcf6', 'OPENAI_API_KEY', 'development', 1, 'sk-o…gh', 'aes-256-gcm argon2id m=19456 t=2 p=1', X'39F65BE97FCF49517923AF49C9C29246', X'2589D28C4FC67C5D91B66DE7', X'BF432C097573CF98EC033BEDD94EE1A8CD5FF4432C3FFF84CA9693973F0CE8D80CF0685B29B9B394B52F', NULL, NULL, NULL, '2026-11-22T15:02:07.141Z', '2026-11-22T15:02:07.141Z', NULL, NULL);
INSERT INTO users VALUES ('user-83fa82b1e09a', 'ann', 'viewer', '$argon2id$v=19$m=19456,t=2,p=1$LcWfTJTc3FCG1nIR7SmXMg$yeuAc5ekZs3A8JzRqW1HAMLz72EQOpqSlognZDOnRbg', '2026-11-22T15:01:49.085Z', '2026-11-22T15:01:49.085Z');
CREATE INDEX events_by_agent ON events (agent_id, seq);
CREATE INDEX runs_by_agent ON runs (agent_id);
CREATE INDEX pii_incidents_by_agent ON pii_incidents (agent_id, at);
CREATE INDEX alert_deliveries_pending ON alert_deliveries (alert_id) WHERE state = 'pending';
CREATE INDEX calls_open ON calls (state) WHERE state IN ('held', 'unresolved');
CREATE INDEX calls_corrections ON calls (agent_id, corrects) WHERE corrects IS NOT NULL;
CREATE TRIGGER audit_is_never_updated BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit rows are never changed'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit rows are never deleted'); END;
CREATE TRIGGER audit_is_appended_only BEFORE INSERT ON audit
WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit)
BEGIN SELECT RAISE(ABORT, 'audit rows are appended without gaps'); END;
CREATE UNIQUE INDEX secrets_by_name ON secrets (environment, name) WHERE deleted_at IS NULL;
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
PRAGMA user_version = 7;
