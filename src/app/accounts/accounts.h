/* Accounts, keys and the ledger.
 *
 * A key is a prefix ("sk-" or "prism_sk_") and 32 random bytes in base 62; only its SHA-256 is kept. The
 * ledger is append-only: an accepted job reserves its price, its end releases the reservation and charges
 * what was delivered. Account.balance is the sum of the ledger after every transaction. */
#pragma once
#include "app/app.h"
#include "app/refusal.h"

typedef struct {
  char *account, *key; /* ids */
  char *dialect;       /* "viggle" (also VicSee's keys) or "prism" */
  char *scopes;        /* space-separated: "read write", "templates:read"; "*" is everything */
  /* Of a request with an Idempotency-Key (app/accounts/idempotency.h): the key; when it was first asked;
   * whether a first attempt got no answer, so that what it may have made is looked for before anything is
   * made. */
  char *request;
  gint64 asked;
  gboolean again;
} Caller;

void caller_free(Caller *caller);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Caller, caller_free)

/* The account of this installation, made at the first start (fresh: TRUE then). Transfer full. */
char *account_default(App *app, gboolean *fresh, GError **error);
/* The account of that name, or the installation's for NULL (transfer full). FAULT_INPUT when there is none.
 */
char *account_find(App *app, const char *name, GError **error);

typedef struct {
  const char *dialect; /* "viggle" or "prism" */
  const char *scopes;  /* NULL: "*" */
  gint64 credits;      /* granted to the account, hundredths; 0 for none */
  gint64 expires;      /* milliseconds since 1970; 0 for never */
  const char *account; /* by name, made when there is none of that name; NULL: the installation's */
} KeyOptions;

/* The key itself, shown this once (transfer full). FAULT_USAGE, FAULT_STORE. */
char *key_create(App *app, const KeyOptions *options, GError **error);
/* key: id, or the key itself. FAULT_INPUT when there is none. */
gboolean key_revoke(App *app, const char *key, GError **error);
typedef struct {
  char *id, *hint, *dialect, *scopes, *account_name;
  gint64 created, expires, revoked;
} Key;
void key_free(Key *key);
GPtrArray *key_list(App *app, GError **error); /* Key */

/* Who holds this key. REFUSAL_KEY_INVALID. Cheap: answers are cached for a second at most (so that a revoked
 * key is refused at once by any process after that). */
Caller *key_check(App *app, const char *key, GError **error);

/* --- ledger; all within the caller's transaction --- */

#define LEDGER_MOST (G_GINT64_CONSTANT(1000000000) * CREDIT) /* that can be granted at a time */

/* REFUSAL_CREDITS when the balance is smaller than amount (the message says both). */
gboolean ledger_reserve(Session *session, const char *account, const char *job, gint64 amount,
                        GError **error);
/* Gives the job's reservation back and charges amount of it (0: a full refund). At most once for each job,
 * and never more than was reserved: FAULT_INTERNAL otherwise. */
gboolean ledger_settle(Session *session, const char *account, const char *job, gint64 amount, GError **error);
gboolean ledger_grant(Session *session, const char *account, gint64 amount, const char *note, GError **error);

typedef struct {
  gint64 balance, purchased, used, reserved, updated; /* hundredths; milliseconds */
} Balance;
gboolean ledger_balance(Session *session, const char *account, Balance *balance, GError **error);
/* The same in a session of its own. */
gboolean account_balance(App *app, const char *account, Balance *balance, GError **error);
