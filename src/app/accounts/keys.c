/* Only the SHA-256 of a key is kept: with 256 random bits in it a salt or a slow hash would add nothing. A
 * look-up goes by the hash, so its time tells nothing of the key, and what was found is compared once more in
 * constant time.
 *
 * Good keys are remembered for a second, so that a client that polls costs no query; a bad key is looked up
 * every time. */
#include "app/accounts/accounts.h"
#include "app/accounts/accounts_private.h"
#include "app/accounts/caches.h"

#include <string.h>

#define KEY_DIGITS 43 /* 62^43 > 2^256 */
#define KEY_LENGTH_MOST 200
#define CACHE_USEC G_USEC_PER_SEC
#define CACHE_MOST 4096

/* ---- what was checked a moment ago ---- */

typedef struct {
  Caller *caller;
  gint64 until; /* monotonic */
} Known;

struct KeyCache {
  GMutex lock;
  GHashTable *known; /* hash -> Known */
};

static void known_free(gpointer data) {
  Known *known = data;
  caller_free(known->caller);
  g_free(known);
}

KeyCache *key_cache_new(void) {
  KeyCache *cache = g_new0(KeyCache, 1);
  g_mutex_init(&cache->lock);
  cache->known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, known_free);
  return cache;
}

void key_cache_free(KeyCache *cache) {
  if (!cache)
    return;
  g_hash_table_unref(cache->known);
  g_mutex_clear(&cache->lock);
  g_free(cache);
}

static Caller *caller_copy(const Caller *caller) {
  Caller *copy = g_new(Caller, 1);
  *copy = (Caller){.account = g_strdup(caller->account),
                   .key = g_strdup(caller->key),
                   .dialect = g_strdup(caller->dialect),
                   .scopes = g_strdup(caller->scopes)};
  return copy;
}

static Caller *cache_find(KeyCache *cache, const char *hash) {
  g_mutex_lock(&cache->lock);
  Known *known = g_hash_table_lookup(cache->known, hash);
  Caller *caller = known && known->until > g_get_monotonic_time() ? caller_copy(known->caller) : NULL;
  g_mutex_unlock(&cache->lock);
  return caller;
}

static void cache_add(KeyCache *cache, const char *hash, const Caller *caller, gint64 until) {
  Known *known = g_new(Known, 1);
  *known = (Known){caller_copy(caller), until};
  g_mutex_lock(&cache->lock);
  if (g_hash_table_size(cache->known) >= CACHE_MOST)
    g_hash_table_remove_all(cache->known);
  g_hash_table_replace(cache->known, g_strdup(hash), known);
  g_mutex_unlock(&cache->lock);
}

static void cache_forget(KeyCache *cache) {
  g_mutex_lock(&cache->lock);
  g_hash_table_remove_all(cache->known);
  g_mutex_unlock(&cache->lock);
}

/* ---- making keys ---- */

/* 32 bytes as a number in base 62, the last digit first. */
static void append_base62(GString *to, const guint8 bytes[32]) {
  static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  guint8 number[32];
  memcpy(number, bytes, sizeof number);
  for (int i = 0; i < KEY_DIGITS; i++) {
    guint rest = 0;
    for (gsize k = 0; k < sizeof number; k++) {
      rest = rest << 8 | number[k];
      number[k] = (guint8)(rest / 62);
      rest %= 62;
    }
    g_string_append_c(to, digits[rest]);
  }
}

static char *key_hash(const char *key) {
  return g_compute_checksum_for_string(G_CHECKSUM_SHA256, key, -1);
}

static const char *key_prefix(const char *dialect) {
  if (g_strcmp0(dialect, "prism") == 0)
    return "prism_sk_";
  return g_strcmp0(dialect, "viggle") == 0 ? "sk-" : NULL;
}

/* "sk-AbCd...wxyz" */
static char *key_hint(const char *key, const char *prefix) {
  gsize length = strlen(key);
  return g_strdup_printf("%.*s...%s", (int)strlen(prefix) + 4, key, key + length - 4);
}

static gboolean scopes_known(const char *scopes) {
  static const char *const known[] = {"read", "write", "templates:read", "*", NULL};
  g_auto(GStrv) words = g_strsplit(scopes, " ", -1);
  for (char **word = words; *word; word++)
    if (!g_strv_contains(known, *word))
      return FALSE;
  return words[0] != NULL;
}

char *key_create(App *app, const KeyOptions *options, GError **error) {
  const char *prefix = key_prefix(options->dialect), *scopes = options->scopes ? options->scopes : "*";
  if (!prefix)
    return fault_null(error, FAULT_USAGE, "There is no dialect \"%s\". Use viggle or prism.",
                      options->dialect ? options->dialect : "");
  if (!scopes_known(scopes))
    return fault_null(error, FAULT_USAGE,
                      "Scopes are \"read\", \"write\", \"templates:read\", several of them, or \"*\".");
  guint8 bytes[32];
  app_random(bytes, sizeof bytes);
  g_autoptr(GString) key = g_string_new(prefix);
  append_base62(key, bytes);
  g_autofree char *hash = key_hash(key->str), *hint = key_hint(key->str, prefix), *id = app_id("key_");

  gboolean fresh = FALSE;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  if (!session)
    return NULL;
  g_autofree char *account = options->account ? account_named(session, options->account, error)
                                              : account_own(session, &fresh, error);
  if (!account ||
      !session_run(session, error,
                   "INSERT INTO keys (id, account, hash, hint, dialect, scopes, created, expires) "
                   "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                   text(id), text(account), text(hash), text(hint), text(options->dialect), text(scopes),
                   integer(app_now()), options->expires ? integer(options->expires) : null()) ||
      (options->credits && !ledger_grant(session, account, options->credits, "with a key", error)) ||
      !session_commit(session, error))
    return NULL;
  return g_strdup(key->str);
}

gboolean key_revoke(App *app, const char *key, GError **error) {
  g_autofree char *hash = key_hash(key);
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  gint64 changed = 0;
  if (!session || !session_run_counted(session, error, &changed,
                                       "UPDATE keys SET revoked = $1 WHERE (id = $2 OR hash = $3) "
                                       "AND revoked IS NULL",
                                       integer(app_now()), text(key), text(hash)))
    return FALSE;
  if (changed == 0)
    return fault(error, FAULT_INPUT,
                 "There is no such key that is still good. `troupe key list` shows them.");
  if (!session_commit(session, error))
    return FALSE;
  cache_forget(app->key_cache);
  return TRUE;
}

void key_free(Key *key) {
  if (!key)
    return;
  g_free(key->id);
  g_free(key->hint);
  g_free(key->dialect);
  g_free(key->scopes);
  g_free(key->account_name);
  g_free(key);
}

GPtrArray *key_list(App *app, GError **error) {
  g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)key_free);
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(Rows) rows =
      session
          ? session_query(session, error,
                          "SELECT k.id, k.hint, k.dialect, k.scopes, a.name, k.created, k.expires, k.revoked "
                          "FROM keys k JOIN accounts a ON a.id = k.account ORDER BY k.created, k.id")
          : NULL;
  if (!rows)
    return NULL;
  while (rows_next(rows, error)) {
    Key *key = g_new(Key, 1);
    *key = (Key){.id = g_strdup(rows_text(rows, 0)),
                 .hint = g_strdup(rows_text(rows, 1)),
                 .dialect = g_strdup(rows_text(rows, 2)),
                 .scopes = g_strdup(rows_text(rows, 3)),
                 .account_name = g_strdup(rows_text(rows, 4)),
                 .created = rows_integer(rows, 5),
                 .expires = rows_integer(rows, 6),
                 .revoked = rows_integer(rows, 7)};
    g_ptr_array_add(list, key);
  }
  return rows_ended(rows) ? g_steal_pointer(&list) : NULL;
}

/* ---- checking keys ---- */

/* The time depends on the lengths alone. */
static gboolean same(const char *a, const char *b) {
  gsize length = strlen(a);
  guint8 different = 0;
  if (strlen(b) != length)
    return FALSE;
  for (gsize i = 0; i < length; i++)
    different |= (guint8)(a[i] ^ b[i]);
  return different == 0;
}

static gboolean refuse_key(GError **error, const char *what) {
  return refuse(error, REFUSAL_KEY_INVALID, "The API key %s. Use one that `troupe key create` has printed.",
                what);
}

/* expires: 0 for never. */
static Caller *look_up(App *app, const char *hash, gint64 *expires, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(Rows) rows =
      session ? session_query(
                    session, error,
                    "SELECT hash, account, id, dialect, scopes, expires, revoked FROM keys WHERE hash = $1",
                    text(hash))
              : NULL;
  if (!rows)
    return NULL;
  if (!rows_next(rows, error)) {
    if (rows_ended(rows))
      refuse_key(error, "is not known");
    return NULL;
  }
  *expires = rows_integer(rows, 5);
  if (!same(rows_text(rows, 0), hash))
    return refuse_key(error, "is not known"), NULL;
  if (!rows_null(rows, 6))
    return refuse_key(error, "was revoked"), NULL;
  if (*expires && *expires <= app_now())
    return refuse_key(error, "has expired"), NULL;
  Caller *caller = g_new(Caller, 1);
  *caller = (Caller){.account = g_strdup(rows_text(rows, 1)),
                     .key = g_strdup(rows_text(rows, 2)),
                     .dialect = g_strdup(rows_text(rows, 3)),
                     .scopes = g_strdup(rows_text(rows, 4))};
  return caller;
}

Caller *key_check(App *app, const char *key, GError **error) {
  if (!key || !*key || strlen(key) > KEY_LENGTH_MOST)
    return refuse_key(error, "is not known"), NULL;
  g_autofree char *hash = key_hash(key);
  Caller *caller = cache_find(app->key_cache, hash);
  if (caller)
    return caller;
  gint64 expires = 0, until = g_get_monotonic_time() + CACHE_USEC;
  caller = look_up(app, hash, &expires, error);
  if (!caller)
    return NULL;
  if (expires)
    until = MIN(until, g_get_monotonic_time() + (expires - app_now()) * 1000);
  cache_add(app->key_cache, hash, caller, until);
  return caller;
}
