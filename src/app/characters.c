/* A Character is a row, a job that makes it, and two objects: its picture and, once ready, its folder. The
 * row and the job appear in one transaction, after the picture was looked at and taken into the store. */
#include "app/characters.h"

#include "app/assets.h"
#include "app/holds.h"
#include "app/webhooks.h"
#include <string.h>

/* Characters are made by the workers of the usual model: their rig serves both. */
#define CHARACTER_POOL "V4_Preview"

/* A waiting Character is processing as soon as its job is. */
#define COLUMNS                                                                                              \
  "SELECT c.id, c.account, c.name, c.description, CASE WHEN c.status = 'pending' AND j.status = "            \
  "'processing' THEN 'processing' ELSE c.status END, c.job, c.error, c.error_code, c.credits, c.created, "   \
  "c.completed, f.object, p.object FROM characters c LEFT JOIN jobs j ON j.id = c.job LEFT JOIN holds f "    \
  "ON f.owner = c.id AND f.role = 'folder' LEFT JOIN holds p ON p.owner = c.id AND p.role = 'picture' "

void character_row_free(CharacterRow *row) {
  if (!row)
    return;
  g_free(row->id);
  g_free(row->account);
  g_free(row->name);
  g_free(row->description);
  g_free(row->status);
  g_free(row->job);
  g_free(row->error);
  g_free(row->error_code);
  g_free(row->folder);
  g_free(row->picture);
  g_free(row);
}

static CharacterRow *row_read(const Rows *rows) {
  CharacterRow *row = g_new0(CharacterRow, 1);
  row->id = g_strdup(rows_text(rows, 0));
  row->account = g_strdup(rows_text(rows, 1));
  row->name = g_strdup(rows_text(rows, 2));
  row->description = g_strdup(rows_text(rows, 3));
  row->status = g_strdup(rows_text(rows, 4));
  row->job = g_strdup(rows_text(rows, 5));
  row->error = g_strdup(rows_text(rows, 6));
  row->error_code = g_strdup(rows_text(rows, 7));
  row->credits = rows_null(rows, 8) ? -1 : rows_integer(rows, 8);
  row->created = rows_integer(rows, 9);
  row->completed = rows_integer(rows, 10);
  row->folder = g_strdup(rows_text(rows, 11));
  row->picture = g_strdup(rows_text(rows, 12));
  return row;
}

CharacterRow *character_read(Session *session, const char *account, const char *id, GError **error) {
  g_autoptr(Rows) rows =
      session_query(session, error, COLUMNS "WHERE c.id = $1 AND c.account = $2 AND c.deleted IS NULL",
                    text(id), text(account));
  if (rows && rows_next(rows, error))
    return row_read(rows);
  if (rows && rows_ended(rows))
    refuse(error, REFUSAL_CHARACTER, "There is no character %.80s.", id);
  return NULL;
}

CharacterRow *character_get(App *app, const char *account, const char *id, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  return session ? character_read(session, account, id, error) : NULL;
}

/* --- making --- */

typedef struct {
  char *name, *description;
} Words;

static void words_clear(Words *words) {
  g_free(words->name);
  g_free(words->description);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Words, words_clear)

static gboolean words_read(const char *name, const char *description, Words *words, GError **error) {
  if (name && !(words->name = input_text("name", name, 1, INPUT_NAME_MAX, error)))
    return FALSE;
  return !description ||
         (words->description = input_text("description", description, 0, INPUT_DESCRIPTION_MAX, error));
}

/* All that can be refused without touching the picture. */
static gboolean request_check(App *app, const Caller *caller, const CharacterRequest *request, Words *words,
                              GError **error) {
  if (!request->name)
    return refuse(error, REFUSAL_INVALID, "name is missing. Send a name for the character.");
  if (!words_read(request->name, request->description, words, error))
    return FALSE;
  if (!input_given(&request->image))
    return refuse(error, REFUSAL_PICTURE_MISSING, "%s is missing. Send %s as a file or %s_url.",
                  request->image.field, request->image.field, request->image.field);
  return input_glance(&request->image, error) &&
         (!given(request->webhook_url) || webhook_check(app, request->webhook_url, error)) &&
         asset_affordable(app, caller->account, CHARACTER_PRICE, error);
}

static gboolean insert(App *app, const Caller *caller, const CharacterRequest *request, const Words *words,
                       const Input *picture, char **made, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  g_autofree char *id = NULL, *job_id = NULL;
  if (!session || !asset_ids(session, "char", &id, &job_id, error))
    return FALSE;
  g_autoptr(Job) job = asset_job(job_id, JOB_CHARACTER, caller, request->dialect, request->webhook_url);
  job->subject = g_strdup(id);
  job->pool = g_strdup(CHARACTER_POOL);
  job->price = CHARACTER_PRICE;
  job->spec = json_pack("{s:s}", "picture", picture->object);
  if (!session_run(session, error,
                   "INSERT INTO characters (id, account, name, description, status, job, created) VALUES "
                   "($1, $2, $3, $4, 'pending', $5, $6)",
                   text(id), text(caller->account), text(words->name), text(words->description), text(job_id),
                   integer(app_now())) ||
      !holds_set(session, id, "picture", picture->object, error) || !job_insert(app, session, job, error) ||
      !session_commit(session, error))
    return FALSE;
  *made = g_steal_pointer(&id);
  return TRUE;
}

gboolean character_create(App *app, const Caller *caller, const CharacterRequest *request, CharacterRow **row,
                          gint64 *price, GError **error) {
  g_auto(Words) words = {0};
  g_auto(Input) picture = {0};
  *row = NULL;
  *price = CHARACTER_PRICE;
  if (!request_check(app, caller, request, &words, error))
    return FALSE;
  if (request->dry_run)
    return input_inspect(app, INPUT_PICTURE, &request->image, &picture, error);
  g_autofree char *id = NULL;
  return input_take(app, INPUT_PICTURE, &request->image, &picture, error) &&
         insert(app, caller, request, &words, &picture, &id, error) &&
         (*row = character_get(app, caller->account, id, error));
}

/* --- the list --- */

/* A LIKE pattern for names with q in them; its own wildcards count as characters. */
static char *pattern(const char *q) {
  GString *result = g_string_new("%");
  for (const char *c = q ? q : ""; *c; c++) {
    if (strchr("%_\\", *c))
      g_string_append_c(result, '\\');
    g_string_append_c(result, *c);
  }
  g_string_append_c(result, '%');
  return g_string_free(result, FALSE);
}

#define LISTED "c.account = $1 AND c.deleted IS NULL AND LOWER(c.name) LIKE LOWER($2) ESCAPE '\\'"

static gboolean count(Session *session, const char *account, const char *like, gint64 *total,
                      GError **error) {
  g_autoptr(Rows) rows = session_query(session, error, "SELECT COUNT(*) FROM characters c WHERE " LISTED,
                                       text(account), text(like));
  if (!rows || !rows_next(rows, error))
    return FALSE;
  *total = rows_integer(rows, 0);
  return TRUE;
}

GPtrArray *character_list(App *app, const char *account, const char *q, gboolean published, int limit,
                          int offset, gint64 *total, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autofree char *like = pattern(q);
  if (!session || !count(session, account, like, total, error))
    return NULL;
  g_autoptr(Rows) rows = session_query(
      session, error, COLUMNS "WHERE " LISTED " ORDER BY c.created DESC, c.id DESC LIMIT $3 OFFSET $4",
      text(account), text(like), integer(limit), integer(offset));
  if (!rows)
    return NULL;
  g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)character_row_free);
  while (rows_next(rows, error))
    g_ptr_array_add(list, row_read(rows));
  return rows_ended(rows) ? g_steal_pointer(&list) : NULL;
}

/* --- changes --- */

gboolean character_update(App *app, const char *account, const char *id, const char *name,
                          const char *description, GError **error) {
  g_auto(Words) words = {0};
  if (!words_read(name, description, &words, error))
    return FALSE;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  gint64 changed;
  if (!session ||
      !session_run_counted(session, error, &changed,
                           "UPDATE characters SET name = COALESCE($1, name), description = COALESCE($2, "
                           "description) WHERE id = $3 AND account = $4 AND deleted IS NULL",
                           text(words.name), text(words.description), text(id), text(account)))
    return FALSE;
  if (changed == 0)
    return refuse(error, REFUSAL_CHARACTER, "There is no character %.80s.", id);
  return session_commit(session, error);
}

/* One transaction: the job is cancelled and refunded, what was held is let go. */
gboolean character_delete(App *app, const char *account, const char *id, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  g_autoptr(CharacterRow) row = session ? character_read(session, account, id, error) : NULL;
  return row && (!row->job || job_cancel_within(session, row->job, error)) &&
         session_run(session, error, "UPDATE characters SET deleted = $1 WHERE id = $2", integer(app_now()),
                     text(id)) &&
         holds_drop(session, id, NULL, error) && session_commit(session, error);
}
