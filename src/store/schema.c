#include "store/schema.h"

static const char step_1[] =
    /* Who pays. The sums of the account's ledger are kept here, so that a check is one row: purchased
     * (grants), used (charges), reserved (reservations not given back), balance = purchased - used -
     * reserved. */
    "CREATE TABLE accounts ("
    " id TEXT PRIMARY KEY, name TEXT NOT NULL, balance BIGINT NOT NULL DEFAULT 0 CHECK (balance >= 0),"
    " purchased BIGINT NOT NULL DEFAULT 0, used BIGINT NOT NULL DEFAULT 0, reserved BIGINT NOT NULL DEFAULT "
    "0,"
    " updated BIGINT NOT NULL, webhook_secret TEXT NOT NULL, created BIGINT NOT NULL);"

    /* hash: SHA-256 of the whole key, hex. hint: its first and last characters, for people. */
    "CREATE TABLE keys ("
    " id TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts(id), hash TEXT NOT NULL UNIQUE,"
    " hint TEXT NOT NULL, dialect TEXT NOT NULL, scopes TEXT NOT NULL, created BIGINT NOT NULL,"
    " expires BIGINT, revoked BIGINT);"

    /* Append-only. kind: grant (+), reserve (-), release (+, the reservation given back), charge (-); each at
     * most once for a job. */
    "CREATE TABLE ledger ("
    " id TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts(id), kind TEXT NOT NULL,"
    " amount BIGINT NOT NULL, job TEXT, note TEXT, created BIGINT NOT NULL);"
    "CREATE INDEX ledger_account ON ledger(account, created);"
    "CREATE UNIQUE INDEX ledger_once ON ledger(job, kind);"

    /* kind: character, scene, render (later training, generation). subject: the Character or Scene that it
     * makes. spec, result: JSON (app/jobs/jobs.h). price: what is reserved; charged: what was settled. */
    "CREATE TABLE jobs ("
    " id TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts(id), kind TEXT NOT NULL, subject TEXT,"
    " pool TEXT NOT NULL, priority INTEGER NOT NULL DEFAULT 0, status TEXT NOT NULL, mode TEXT, dialect TEXT "
    "NOT NULL,"
    " spec TEXT NOT NULL, checkpoint TEXT, progress REAL NOT NULL DEFAULT 0, stage TEXT,"
    " worker TEXT, lease BIGINT, attempts INTEGER NOT NULL DEFAULT 0,"
    " price BIGINT NOT NULL, charged BIGINT, result TEXT, error TEXT, error_code TEXT, webhook_url TEXT,"
    " created BIGINT NOT NULL, started BIGINT, completed BIGINT, expires BIGINT);"
    "CREATE INDEX jobs_queue ON jobs(pool, priority DESC, created) WHERE status = 'queued';"
    "CREATE INDEX jobs_lease ON jobs(lease) WHERE status = 'processing';"
    "CREATE INDEX jobs_unfinished ON jobs(account) WHERE completed IS NULL;"
    "CREATE INDEX jobs_account ON jobs(account, kind, created);"
    "CREATE INDEX jobs_expires ON jobs(expires) WHERE expires IS NOT NULL;"

    /* Which objects a row needs: the sweeper keeps what is named here. owner: id of a Character, Scene, Job
     * or Template; role: picture, video, folder, result, mask, thumb, … */
    "CREATE TABLE holds ("
    " object TEXT NOT NULL, owner TEXT NOT NULL, role TEXT NOT NULL, PRIMARY KEY (owner, role));"
    "CREATE INDEX holds_object ON holds(object);"

    "CREATE TABLE characters ("
    " id TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts(id), name TEXT NOT NULL, description "
    "TEXT,"
    " status TEXT NOT NULL, job TEXT, error TEXT, error_code TEXT, credits BIGINT,"
    " created BIGINT NOT NULL, completed BIGINT, deleted BIGINT);"
    "CREATE INDEX characters_account ON characters(account, created);"

    /* segments: JSON list of {"uuid", "person", "type"}; person is the id of the track. */
    "CREATE TABLE scenes ("
    " id TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts(id), name TEXT NOT NULL, model TEXT NOT "
    "NULL,"
    " background TEXT NOT NULL, template TEXT, status TEXT NOT NULL, job TEXT, error TEXT, error_code TEXT,"
    " seconds REAL, fps REAL, frames BIGINT, width INTEGER, height INTEGER, segments TEXT NOT NULL DEFAULT "
    "'[]',"
    " created BIGINT NOT NULL, completed BIGINT, deleted BIGINT);"
    "CREATE INDEX scenes_account ON scenes(account, created);"

    "CREATE TABLE templates ("
    " id TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, model TEXT NOT NULL, about TEXT NOT NULL,"
    " created BIGINT NOT NULL, removed BIGINT);"

    "CREATE TABLE idempotency ("
    " account TEXT NOT NULL, name TEXT NOT NULL, request TEXT NOT NULL, status INTEGER, body TEXT,"
    " created BIGINT NOT NULL, PRIMARY KEY (account, name));"

    /* One row for each notice that is owed or was given; due NULL: nothing more is tried. */
    "CREATE TABLE deliveries ("
    " id TEXT PRIMARY KEY, account TEXT NOT NULL, job TEXT NOT NULL, url TEXT NOT NULL, body TEXT NOT NULL,"
    " attempts INTEGER NOT NULL DEFAULT 0, due BIGINT, worker TEXT, answer INTEGER, error TEXT,"
    " created BIGINT NOT NULL, delivered BIGINT);"
    "CREATE INDEX deliveries_due ON deliveries(due) WHERE due IS NOT NULL;"
    "CREATE INDEX deliveries_job ON deliveries(job);"

    /* secret: what signs links; made at the first start. */
    "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);";

static const char step_2[] =
    /* pictures: JSON list of objects; report: JSON, of each picture; chosen: index of the rig's. training:
     * job of the newest Training; trigger_word, class: of it. */
    "ALTER TABLE characters ADD COLUMN pictures TEXT;"
    "ALTER TABLE characters ADD COLUMN report TEXT;"
    "ALTER TABLE characters ADD COLUMN chosen INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE characters ADD COLUMN training TEXT;"
    "ALTER TABLE characters ADD COLUMN published BIGINT;"

    /* prompt: what a Generation or Render is found by. published: its results are everybody's. */
    "ALTER TABLE jobs ADD COLUMN prompt TEXT;"
    "ALTER TABLE jobs ADD COLUMN template TEXT;"
    "ALTER TABLE jobs ADD COLUMN published BIGINT;"
    "CREATE INDEX jobs_published ON jobs(published) WHERE published IS NOT NULL;"
    "CREATE INDEX jobs_ended ON jobs(pool, kind, completed) WHERE status = 'complete';"

    /* request: the Idempotency-Key under which it was made. owner: the process that answers
     * (app/accounts/presence.h),
     * "" when it gave up; begun: when it took that on. */
    "ALTER TABLE jobs ADD COLUMN request TEXT;"
    "CREATE INDEX jobs_request ON jobs(account, request) WHERE request IS NOT NULL;"
    "ALTER TABLE idempotency ADD COLUMN owner TEXT;"
    "ALTER TABLE idempotency ADD COLUMN begun BIGINT;"

    /* A file that was put ahead of a request; its object is held by the key. */
    "CREATE TABLE uploads ("
    " key TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts(id), type TEXT NOT NULL, most BIGINT "
    "NOT "
    "NULL, created BIGINT NOT NULL, put BIGINT);"
    "CREATE INDEX uploads_created ON uploads(created);"

    /* Requests of an account on one UTC day ("2026-11-21"). */
    "CREATE TABLE days (account TEXT NOT NULL, day TEXT NOT NULL, requests BIGINT NOT NULL, PRIMARY KEY "
    "(account, day));";

const char *const schema_steps[] = {step_1, step_2};
const int schema_version = G_N_ELEMENTS(schema_steps);
