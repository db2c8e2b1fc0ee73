/* A bucket for each account: it holds a minute's requests at most and fills evenly. Full buckets say nothing,
 * so they are forgotten when the table has grown. */
#include "app/accounts/rate.h"
#include "app/accounts/caches.h"

#include <math.h>

#define ACCOUNTS_MOST 10000

typedef struct {
  double left;   /* requests that may come now */
  gint64 filled; /* when, monotonic */
} Bucket;

struct RateTable {
  GMutex lock;
  GHashTable *buckets;   /* account -> Bucket */
  GHashTable *downloads; /* account -> how many run; no entry for none */
};

RateTable *rate_table_new(void) {
  RateTable *table = g_new0(RateTable, 1);
  g_mutex_init(&table->lock);
  table->buckets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  table->downloads = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  return table;
}

void rate_table_free(RateTable *table) {
  if (!table)
    return;
  g_hash_table_unref(table->buckets);
  g_hash_table_unref(table->downloads);
  g_mutex_clear(&table->lock);
  g_free(table);
}

static gboolean idle_for_a_minute(gpointer key, gpointer value, gpointer now) {
  return *(const gint64 *)now - ((const Bucket *)value)->filled > 60 * G_USEC_PER_SEC;
}

static Bucket *bucket_of(RateTable *table, const char *account, double most, gint64 now) {
  Bucket *bucket = g_hash_table_lookup(table->buckets, account);
  if (bucket)
    return bucket;
  if (g_hash_table_size(table->buckets) >= ACCOUNTS_MOST)
    g_hash_table_foreach_remove(table->buckets, idle_for_a_minute, &now);
  if (g_hash_table_size(table->buckets) >= ACCOUNTS_MOST)
    g_hash_table_remove_all(table->buckets);
  bucket = g_new(Bucket, 1);
  *bucket = (Bucket){most, now};
  g_hash_table_insert(table->buckets, g_strdup(account), bucket);
  return bucket;
}

gboolean rate_check(App *app, const char *account, int *retry_seconds, GError **error) {
  RateTable *table = app->rates;
  double most = (double)MAX(app->settings->requests_minute, 1), per_second = most / 60;
  gint64 now = g_get_monotonic_time();
  g_mutex_lock(&table->lock);
  Bucket *bucket = bucket_of(table, account, most, now);
  bucket->left = MIN(most, bucket->left + (double)(now - bucket->filled) * 1e-6 * per_second);
  bucket->filled = now;
  double left = bucket->left;
  if (left >= 1)
    bucket->left -= 1;
  g_mutex_unlock(&table->lock);
  if (left >= 1)
    return TRUE;
  *retry_seconds = (int)ceil((1 - left) / per_second);
  return refuse(error, REFUSAL_RATE,
                "More than %" G_GINT64_FORMAT " requests came within a minute. Try again in %d s.",
                app->settings->requests_minute, *retry_seconds);
}

/* Adds to an account's running downloads and returns how many there are then. */
static int downloads_add(RateTable *table, const char *account, int change) {
  g_mutex_lock(&table->lock);
  int count = GPOINTER_TO_INT(g_hash_table_lookup(table->downloads, account)) + change;
  if (count)
    g_hash_table_insert(table->downloads, g_strdup(account), GINT_TO_POINTER(count));
  else
    g_hash_table_remove(table->downloads, account);
  g_mutex_unlock(&table->lock);
  return count;
}

gboolean download_begin(App *app, const char *account, GError **error) {
  if (downloads_add(app->rates, account, 1) <= DOWNLOADS_MOST)
    return TRUE;
  download_end(app, account);
  return refuse(error, REFUSAL_RATE,
                "%d downloads of this account are running already. Try again when some have ended.",
                DOWNLOADS_MOST);
}

void download_end(App *app, const char *account) {
  downloads_add(app->rates, account, -1);
}
