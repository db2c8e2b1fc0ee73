/* A Character is a row, a job that makes its rig, and objects: its pictures and, once ready, its folder. The
 * row and the job appear in one transaction, after the pictures were looked at and taken into the store. */
#include "app/making/characters.h"

#include "app/jobs/holds.h"
#include "app/jobs/webhooks.h"
#include "app/making/assets.h"
#include "app/making/characters_private.h"
#include <string.h>

/* Characters are made by the workers of the usual model: their rig serves both. */
#define CHARACTER_POOL "V4_Preview"
#define CHARACTER_PICTURES 30

/* A waiting Character is processing as soon as its job is. */
#define COLUMNS                                                                                              \
  "SELECT c.id, c.account, c.name, c.description, CASE WHEN c.status = 'pending' AND j.status = "            \
  "'processing' THEN 'processing' ELSE c.status END, c.job, c.error, c.error_code, c.credits, c.created, "   \
  "c.completed, f.object, p.object, c.pictures, c.report, c.chosen, c.training, c.published FROM "           \
  "characters c LEFT JOIN jobs j ON j.id = c.job LEFT JOIN holds f ON f.owner = c.id AND f.role = 'folder' " \
  "LEFT JOIN holds p ON p.owner = c.id AND p.role = 'picture' "

void character_row_free(CharacterRow *row) {
  if (!row)
    return;
  char *const texts[] = {row->id,    row->account,    row->name,   row->description, row->status,  row->job,
                         row->error, row->error_code, row->folder, row->picture,     row->training};
  for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
    g_free(texts[i]);
  json_decref(row->pictures);
  json_decref(row->report);
  g_free(row);
}

static json_t *parse(const char *text) {
  return text ? json_loads(text, 0, NULL) : NULL;
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
  row->pictures = parse(rows_text(rows, 13));
  row->report = parse(rows_text(rows, 14));
  row->chosen = (int)rows_integer(rows, 15);
  row->training = g_strdup(rows_text(rows, 16));
  row->published = !rows_null(rows, 17);
  if (!row->pictures) /* of the time when there was one */
    row->pictures = row->picture ? json_pack("[s]", row->picture) : json_array();
  return row;
}

static CharacterRow *row_one(Rows *rows, const char *id, GError **error) {
  if (rows && rows_next(rows, error))
    return row_read(rows);
  if (rows && rows_ended(rows))
    refuse(error, REFUSAL_CHARACTER, "There is no character %.80s.", id);
  return NULL;
}

CharacterRow *character_read(Session *session, const char *account, const char *id, GError **error) {
  g_autoptr(Rows) rows =
      session_query(session, error, COLUMNS "WHERE c.id = $1 AND c.account = $2 AND c.deleted IS NULL",
                    text(id), text(account));
  return row_one(rows, id, error);
}

CharacterRow *character_usable(Session *session, const char *account, const char *id, GError **error) {
  g_autoptr(Rows) rows = session_query(session, error,
                                       COLUMNS "WHERE c.id = $1 AND (c.account = $2 OR c.published IS NOT "
                                               "NULL) AND c.deleted IS NULL",
                                       text(id), text(account));
  return row_one(rows, id, error);
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

/* All that can be refused without touching the pictures. */
static gboolean request_check(App *app, const Caller *caller, const CharacterRequest *request, gint64 price,
                              Words *words, GError **error) {
  if (!request->name)
    return refuse(error, REFUSAL_INVALID, "name is missing. Send a name for the character.");
  if (!words_read(request->name, request->description, words, error))
    return FALSE;
  if (!input_given(&request->image))
    return refuse(error, REFUSAL_PICTURE_MISSING, "%s is missing. Send %s as a file or %s_url.",
                  request->image.field, request->image.field, request->image.field);
  if (request->more_count >= CHARACTER_PICTURES)
    return refuse(error, REFUSAL_PICTURES_MANY, "%d pictures were sent; a character takes at most %d.",
                  request->more_count + 1, CHARACTER_PICTURES);
  if (!input_glance(&request->image, error))
    return FALSE;
  for (int i = 0; i < request->more_count; i++)
    if (!input_glance(&request->more[i], error))
      return FALSE;
  return (!given(request->webhook_url) || webhook_check(app, request->webhook_url, error)) &&
         asset_affordable(app, caller->account, price, error);
}

static json_t *objects_of(const Input *pictures, int count) {
  json_t *list = json_array();
  for (int i = 0; i < count; i++)
    json_array_append_new(list, json_string(pictures[i].object));
  return list;
}

/* In the roles picture-N; `from`: how many there are already. */
static gboolean hold_pictures(Session *session, const char *id, const Input *pictures, int count, int from,
                              GError **error) {
  for (int i = 0; i < count; i++) {
    g_autofree char *role = g_strdup_printf("picture-%d", from + i);
    if (!holds_set(session, id, role, pictures[i].object, error))
      return FALSE;
  }
  return TRUE;
}

char *character_insert(App *app, Session *session, const Caller *caller, const NewCharacter *made,
                       GError **error) {
  g_autofree char *id = NULL, *job_id = NULL;
  if (!asset_ids(session, "char", &id, &job_id, error))
    return NULL;
  json_auto_t *pictures = objects_of(made->pictures, made->count);
  g_autofree char *pictures_text = json_dumps(pictures, JSON_COMPACT);
  g_autoptr(Job) job = asset_job(job_id, JOB_CHARACTER, caller, made->dialect, made->webhook_url);
  job->subject = g_strdup(id);
  job->pool = g_strdup(CHARACTER_POOL);
  job->price = made->price;
  job->spec = json_pack("{s:O}", "pictures", pictures);
  if (!session_run(session, error,
                   "INSERT INTO characters (id, account, name, description, status, job, pictures, created) "
                   "VALUES ($1, $2, $3, $4, 'pending', $5, $6, $7)",
                   text(id), text(caller->account), text(made->name), text(made->description), text(job_id),
                   text(pictures_text), integer(app_now())) ||
      !holds_set(session, id, "picture", made->pictures[0].object, error) ||
      !hold_pictures(session, id, made->pictures, made->count, 0, error) ||
      !job_insert(app, session, job, error))
    return NULL;
  return g_steal_pointer(&id);
}

gboolean character_extend(Session *session, CharacterRow *row, const Input *pictures, int count,
                          GError **error) {
  int before = (int)json_array_size(row->pictures);
  json_auto_t *more = objects_of(pictures, count);
  json_array_extend(row->pictures, more);
  g_autofree char *all = json_dumps(row->pictures, JSON_COMPACT);
  return hold_pictures(session, row->id, pictures, count, before, error) &&
         session_run(session, error, "UPDATE characters SET pictures = $1 WHERE id = $2", text(all),
                     text(row->id));
}

static gboolean insert(App *app, const Caller *caller, const CharacterRequest *request,
                       const NewCharacter *made, char **id, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  g_autofree char *fresh = session ? character_insert(app, session, caller, made, error) : NULL;
  if (!fresh || !session_commit(session, error))
    return FALSE;
  *id = g_steal_pointer(&fresh);
  return TRUE;
}

gboolean character_create(App *app, const Caller *caller, const CharacterRequest *request, CharacterRow **row,
                          gint64 *price, GError **error) {
  g_auto(Words) words = {0};
  Input pictures[CHARACTER_PICTURES] = {0};
  InputSource sources[CHARACTER_PICTURES];
  int count = 1 + request->more_count;
  g_autoptr(Job) before = NULL;
  *row = NULL;
  *price = request->free ? 0 : CHARACTER_PRICE;
  if (!asset_made(app, caller, JOB_CHARACTER, &before, error))
    return FALSE;
  if (before)
    return (*row = character_get(app, caller->account, before->subject, error)) != NULL;
  if (!request_check(app, caller, request, *price, &words, error))
    return FALSE;
  sources[0] = request->image;
  for (int i = 1; i < count; i++)
    sources[i] = request->more[i - 1];
  if (request->dry_run) {
    gboolean good = inputs_inspect(app, sources, count, INPUT_PICTURE_BYTES, pictures, error);
    for (int i = 0; i < count; i++)
      input_clear(&pictures[i]);
    return good;
  }
  g_autofree char *id = NULL;
  const NewCharacter made = {.name = words.name,
                             .description = words.description,
                             .pictures = pictures,
                             .count = count,
                             .price = *price,
                             .dialect = request->dialect,
                             .webhook_url = request->webhook_url};
  gboolean good = inputs_take(app, sources, count, INPUT_PICTURE_BYTES, pictures, error) &&
                  insert(app, caller, request, &made, &id, error) &&
                  (*row = character_get(app, caller->account, id, error));
  for (int i = 0; i < count; i++)
    input_clear(&pictures[i]);
  return good;
}

/* --- the list --- */

#define LISTED                                                                                               \
  "(c.account = $1 OR ($2 = 1 AND c.published IS NOT NULL)) AND c.deleted IS NULL AND LOWER(c.name) LIKE "   \
  "LOWER($3) ESCAPE '\\'"

static gboolean count(Session *session, const char *account, gboolean published, const char *like,
                      gint64 *total, GError **error) {
  g_autoptr(Rows) rows = session_query(session, error, "SELECT COUNT(*) FROM characters c WHERE " LISTED,
                                       text(account), integer(published), text(like));
  if (!rows || !rows_next(rows, error))
    return FALSE;
  *total = rows_integer(rows, 0);
  return TRUE;
}

GPtrArray *character_list(App *app, const char *account, const char *q, gboolean published, int limit,
                          int offset, gint64 *total, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autofree char *like = asset_pattern(q);
  if (!session || !count(session, account, published, like, total, error))
    return NULL;
  g_autoptr(Rows) rows = session_query(
      session, error, COLUMNS "WHERE " LISTED " ORDER BY c.created DESC, c.id DESC LIMIT $4 OFFSET $5",
      text(account), integer(published), text(like), integer(limit), integer(offset));
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

gboolean character_inspected(App *app, const Job *job, const json_t *report, int chosen, GError **error) {
  g_autofree char *report_text = json_dumps(report, JSON_COMPACT | JSON_REAL_PRECISION(6));
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE_SOON, error);
  return session &&
         session_run(
             session, error,
             "UPDATE characters SET report = $1, chosen = $2 WHERE id = $3 AND job = $4 AND deleted IS "
             "NULL",
             text(report_text), integer(chosen), text(job->subject), text(job->id)) &&
         session_commit(session, error);
}

gboolean character_publish(App *app, const char *account, const char *id, gboolean published,
                           GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  g_autoptr(CharacterRow) row = session ? character_read(session, account, id, error) : NULL;
  return row &&
         session_run(session, error, "UPDATE characters SET published = $1 WHERE id = $2",
                     published ? integer(app_now()) : null(), text(id)) &&
         session_commit(session, error);
}

/* One transaction: its jobs are cancelled and refunded, what was held is let go. */
gboolean character_delete(App *app, const char *account, const char *id, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  g_autoptr(CharacterRow) row = session ? character_read(session, account, id, error) : NULL;
  return row && (!row->job || job_cancel_within(session, row->job, error)) &&
         (!row->training || job_cancel_within(session, row->training, error)) &&
         session_run(session, error, "UPDATE characters SET deleted = $1 WHERE id = $2", integer(app_now()),
                     text(id)) &&
         holds_drop(session, id, NULL, error) && session_commit(session, error);
}
