/* What the operations share: the store, the settings, the secret, the clock.
 *
 * The server, each worker process and the commands for operators open one App each; the tables tie them
 * together. An App may be used from any thread. */
#pragma once
#include "app/accounts/presence.h"
#include "store/database.h"
#include "store/objects.h"

#define CREDIT 100 /* credits are counted in hundredths everywhere below the API */

/* As the operator has set them (cli reads flags, TROUPE_* variables and troupe.conf, in that order). */
typedef struct {
  char *data;        /* folder of everything */
  char *models;      /* folder of the networks, or NULL for the usual places */
  char *public_url;  /* "https://troupe.example": what links begin with, no slash at the end; NULL until it is
                        known where the server listens */
  char *fetch_allow; /* "10.0.0.0/8,::1/128": private networks that URL inputs and webhooks may reach, or NULL
                      */
  gint64 result_days;     /* results of renders are kept that long: 7 */
  gint64 upload_bytes;    /* largest request body: 500 MB and a little for the other fields */
  gint64 jobs_unfinished; /* of an account at a time: 100 */
  gint64 requests_minute; /* of an account: 1200; polls of render status are not counted */
  gint64 requests_day;    /* of an account under /api/v1, reads aside: 500; 0 is no limit */
  gint64 answer_seconds;  /* how long a request waits for its pictures before they are given up: 600 */
  gint64 lease_seconds;   /* a worker that is silent for so long has lost its job: 30 */
  gint64 attempts;        /* 3 */
  gint64 engine_memory;   /* bytes of address space an engine may use */
  gint64 engine_seconds;  /* of processor time an engine may use */
  gint64 render_cores;    /* cores a normal render may use; 0 is all */
  gboolean fast;          /* fast mode is offered */
  gint64 sweep_age;       /* seconds an object that nobody names is spared: 3600 */
} Settings;

Settings *settings_new(void); /* the usual values; data is NULL */
void settings_free(Settings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Settings, settings_free)

typedef struct {
  Database *database;
  Objects *objects;
  const Settings *settings; /* borrowed: outlives the App */
  char *scratch; /* folder for engines, on the objects' disk; what lies there is named after its job ("job_…",
                    "job_….2"): the sweeper removes it once that job does not run, everything else after a day
                  */
  Presence presence;              /* of this process */
  guint8 secret[32];              /* signs links */
  struct KeyCache *key_cache;     /* accounts.h */
  struct RateTable *rates;        /* rate.h */
  struct ModelTable *model_table; /* drawing_models.h */
} App;

/* Opens (and at the first start makes) the data folder. FAULT_STORE, FAULT_USAGE. */
App *app_open(const Settings *settings, GError **error);
void app_free(App *app);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(App, app_free)

/* Milliseconds since 1970, UTC. */
gint64 app_now(void);
/* "2026-11-21T15:04:05.123Z" (transfer full). */
char *app_time_text(gint64 milliseconds);
/* A random UUID (transfer full); one with a prefix: "job_" + 24 hex digits. */
char *app_uuid(void);
char *app_id(const char *prefix);
/* Random bytes that nobody can foretell. */
void app_random(void *bytes, gsize length);
