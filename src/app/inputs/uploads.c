/* A row is made when the place is given out; the file comes later, or never. It goes the way of every input:
 * a draft, a look at its first bytes, an engine child behind its walls, the store. The row holds the object
 * under its key; jobs that use it take holds of their own, so the row may go while they run.
 *
 * Keys name rows, not files: a key that was made up finds nothing. */
#include "app/inputs/uploads.h"

#include "app/jobs/holds.h"
#include "app/jobs/jobs.h"
#include "app/links.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#define ROLE "file"
#define SOUND_BYTES (20 * 1000 * 1000)

typedef enum { FAMILY_PICTURE, FAMILY_VIDEO, FAMILY_SOUND } Family;

typedef struct {
  const char *type, *suffix;
  Family family;
} TypeFacts;

static const TypeFacts types[] = {
    {"image/png", "png", FAMILY_PICTURE}, {"image/jpeg", "jpg", FAMILY_PICTURE},
    {"image/jpg", "jpg", FAMILY_PICTURE}, {"image/webp", "webp", FAMILY_PICTURE},
    {"video/mp4", "mp4", FAMILY_VIDEO},   {"video/quicktime", "mov", FAMILY_VIDEO},
    {"video/webm", "webm", FAMILY_VIDEO}, {"audio/mpeg", "mp3", FAMILY_SOUND},
    {"audio/wav", "wav", FAMILY_SOUND},   {"audio/x-wav", "wav", FAMILY_SOUND},
};

static const gint64 family_bytes[] = {
    [FAMILY_PICTURE] = INPUT_PICTURE_BYTES, [FAMILY_VIDEO] = INPUT_VIDEO_BYTES, [FAMILY_SOUND] = SOUND_BYTES};

static const TypeFacts *type_facts(const char *type) {
  for (gsize i = 0; i < G_N_ELEMENTS(types); i++)
    if (g_str_equal(types[i].type, type))
      return &types[i];
  return NULL;
}

/* "image/png" of "Image/PNG; charset=binary" (transfer full). */
static char *plain_type(const char *type) {
  g_autofree char *head = g_strndup(type, strcspn(type, ";"));
  return g_ascii_strdown(g_strstrip(head), -1);
}

void upload_clear(Upload *upload) {
  g_clear_pointer(&upload->key, g_free);
  g_clear_pointer(&upload->put_url, g_free);
  g_clear_pointer(&upload->public_url, g_free);
}

/* --- the place --- */

static char *put_subject(const char *key) {
  return g_strconcat("PUT " UPLOAD_ROOT, key, NULL);
}

static void fill(const App *app, const char *key, gint64 most, Upload *upload) {
  const char *host = app->settings->public_url ? app->settings->public_url : "";
  gint64 until = app_now() / 1000 + UPLOAD_LINK_SECONDS;
  g_autofree char *expires = g_strdup_printf("%" G_GINT64_FORMAT, until), *subject = put_subject(key);
  g_autofree char *signature = link_signature(app, subject, expires);
  *upload = (Upload){.key = g_strdup(key),
                     .put_url = g_strdup_printf("%s" UPLOAD_ROOT "%s?expires=%s&signature=%s", host, key,
                                                expires, signature),
                     .public_url = g_strdup_printf("%s" UPLOAD_ROOT "%s", host, key),
                     .most = most,
                     .expires = until * 1000};
}

gboolean upload_offer(App *app, const char *account, const char *type, gint64 bytes, Upload *upload,
                      GError **error) {
  g_autofree char *plain = plain_type(type), *folder = app_uuid();
  const TypeFacts *facts = type_facts(plain);
  if (!facts)
    return refuse(
        error, REFUSAL_INVALID,
        "The content type \"%.80s\" is not taken. Send image/png, image/jpeg, image/webp, video/mp4, "
        "video/quicktime, video/webm, audio/mpeg or audio/wav.",
        type);
  gint64 most = family_bytes[facts->family];
  if (bytes > most)
    return refuse(error, REFUSAL_TOO_LARGE,
                  "A file of %s may have %" G_GINT64_FORMAT " bytes, not %" G_GINT64_FORMAT ".", plain, most,
                  bytes);
  g_autofree char *key = g_strdup_printf("users/%s/user-uploads/%s/file.%s", account, folder, facts->suffix);
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  if (!session ||
      !session_run(session, error,
                   "INSERT INTO uploads (key, account, type, most, created) VALUES ($1, $2, $3, $4, $5)",
                   text(key), text(account), text(plain), integer(most), integer(app_now())) ||
      !session_commit(session, error))
    return FALSE;
  fill(app, key, most, upload);
  return TRUE;
}

/* --- rows --- */

typedef struct {
  char *account, *type, *object; /* object NULL: nothing was put yet */
  gint64 most, created;
} UploadRow;

static void upload_row_clear(UploadRow *row) {
  g_free(row->account);
  g_free(row->type);
  g_free(row->object);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(UploadRow, upload_row_clear)

/* FALSE with *error for trouble only; row->account stays NULL when there is none. */
static gboolean row_read(Session *session, const char *key, UploadRow *row, GError **error) {
  g_autoptr(Rows) rows = session_query(
      session, error,
      "SELECT u.account, u.type, u.most, u.created, h.object FROM uploads u LEFT JOIN holds h ON "
      "h.owner = u.key AND h.role = '" ROLE "' WHERE u.key = $1",
      text(key));
  if (!rows)
    return FALSE;
  if (rows_next(rows, error))
    *row = (UploadRow){.account = g_strdup(rows_text(rows, 0)),
                       .type = g_strdup(rows_text(rows, 1)),
                       .most = rows_integer(rows, 2),
                       .created = rows_integer(rows, 3),
                       .object = g_strdup(rows_text(rows, 4))};
  return row->account || rows_ended(rows);
}

static gboolean row_get(App *app, const char *key, UploadRow *row, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  return session && row_read(session, key, row, error);
}

static gboolean outdated(const UploadRow *row) {
  return app_now() - row->created >= UPLOAD_DAYS * 24 * 3600 * G_GINT64_CONSTANT(1000);
}

/* --- the file --- */

gboolean upload_open(App *app, const char *key, const char *expires, const char *signature, const char *type,
                     gint64 *most, GError **error) {
  gboolean expired = FALSE;
  g_autofree char *subject = put_subject(key);
  if (!expires || !signature || !link_signature_good(app, subject, expires, signature, &expired))
    return refuse(error, REFUSAL_FORBIDDEN,
                  expired ? "This upload link has expired. Ask for a new one."
                          : "This link is not signed for this upload. Use the link as it was given.");
  g_auto(UploadRow) row = {0};
  if (!row_get(app, key, &row, error))
    return FALSE;
  if (!row.account)
    return refuse(error, REFUSAL_NOT_FOUND, "There is no such upload any more. Ask for a new link.");
  g_autofree char *plain = type ? plain_type(type) : g_strdup("none");
  if (!g_str_equal(plain, row.type))
    return refuse(error, REFUSAL_CONTENT_TYPE,
                  "The Content-Type of this upload must be %s, as it was announced, not %.80s.", row.type,
                  plain);
  *most = row.most;
  return TRUE;
}

/* MPEG audio frames, with or without ID3 before them; RIFF's WAVE. Nothing here decodes sound. */
static gboolean plausible_sound(const char *path) {
  guint8 bytes[12] = {0};
  FILE *file = g_fopen(path, "rbe");
  gsize read = file ? fread(bytes, 1, sizeof bytes, file) : 0;
  if (file)
    fclose(file);
  return read == sizeof bytes &&
         (memcmp(bytes, "ID3", 3) == 0 || (bytes[0] == 0xff && (bytes[1] & 0xe0) == 0xe0) ||
          (memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WAVE", 4) == 0));
}

static gboolean take_sound(App *app, const InputSource *draft, Input *input, GError **error) {
  if (!plausible_sound(draft->path)) {
    g_unlink(draft->path);
    return refuse(error, REFUSAL_INVALID, "The file is neither MP3 nor WAV. Send what was announced.");
  }
  input->object = objects_put(app->objects, draft->path, draft->hash, NULL, error);
  return input->object != NULL;
}

static gboolean take(App *app, const TypeFacts *facts, const InputSource *draft, Input *input,
                     GError **error) {
  if (facts->family == FAMILY_SOUND)
    return take_sound(app, draft, input, error);
  return input_take(app, facts->family == FAMILY_PICTURE ? INPUT_PICTURE : INPUT_VIDEO, draft, input, error);
}

static gboolean hold(App *app, const char *key, const char *object, GError **error) {
  gint64 changed;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  if (!session || !session_run_counted(session, error, &changed, "UPDATE uploads SET put = $1 WHERE key = $2",
                                       integer(app_now()), text(key)))
    return FALSE;
  if (changed == 0)
    return refuse(error, REFUSAL_NOT_FOUND, "There is no such upload any more. Ask for a new link.");
  return holds_set(session, key, ROLE, object, error) && session_commit(session, error);
}

gboolean upload_finish(App *app, const char *key, const InputSource *draft, GError **error) {
  g_auto(UploadRow) row = {0};
  g_auto(Input) input = {0};
  if (!row_get(app, key, &row, error))
    return FALSE;
  const TypeFacts *facts = row.type ? type_facts(row.type) : NULL;
  if (!facts)
    return refuse(error, REFUSAL_NOT_FOUND, "There is no such upload any more. Ask for a new link.");
  return take(app, facts, draft, &input, error) && hold(app, key, input.object, error);
}

char *upload_read(App *app, const char *key, char **type, GError **error) {
  g_auto(UploadRow) row = {0};
  *type = NULL;
  if (!row_get(app, key, &row, error))
    return NULL;
  if (!row.object)
    return refuse_null(error, REFUSAL_NOT_FOUND, "Nothing was uploaded here, or it is kept no longer.");
  *type = g_steal_pointer(&row.type);
  return g_steal_pointer(&row.object);
}

/* --- what a key stands for --- */

static char *refuse_key(const char *field, const char *key, GError **error) {
  return refuse_null(
      error, REFUSAL_INVALID,
      "%s: there is no file under the key \"%.200s\". Send a key that an upload or a search gave.", field,
      key);
}

static const char *kind_words(InputKind kind) {
  return kind == INPUT_PICTURE ? "a picture" : "a video";
}

static char *uploaded(App *app, const char *account, const char *field, const char *key, InputKind kind,
                      GError **error) {
  g_auto(UploadRow) row = {0};
  if (!row_get(app, key, &row, error))
    return NULL;
  /* What is as old as this is about to be swept. */
  if (!row.account || !g_str_equal(row.account, account) || outdated(&row))
    return refuse_key(field, key, error);
  if (!row.object)
    return refuse_null(error, REFUSAL_INVALID,
                       "%s: nothing was put under the key %.200s yet. Upload the file first.", field, key);
  const TypeFacts *facts = type_facts(row.type);
  if (!facts || facts->family != (kind == INPUT_PICTURE ? FAMILY_PICTURE : FAMILY_VIDEO))
    return refuse_null(error, REFUSAL_INVALID, "%s must be %s, but %.200s was uploaded as %s.", field,
                       kind_words(kind), key, row.type);
  return g_steal_pointer(&row.object);
}

char *upload_result_key(const Job *job, int image) {
  if (image < 0)
    return g_strdup_printf("generations/%s/%s.mp4", job->account, job->id);
  return g_strdup_printf("generations/%s/%s-%d.png", job->account, job->id, image);
}

/* "generations/ACCOUNT/JOB.mp4" or "generations/ACCOUNT/JOB-2.png" taken apart; image -1: a video. */
static gboolean result_parse(const char *key, char **account, char **job, int *image) {
  g_auto(GStrv) parts = g_strsplit(key, "/", 4);
  if (g_strv_length(parts) != 3)
    return FALSE;
  char *name = parts[2], *dash = strrchr(name, '-');
  gboolean video = g_str_has_suffix(name, ".mp4");
  if (!video && (!g_str_has_suffix(name, ".png") || !dash || !g_ascii_isdigit(dash[1]) ||
                 strlen(dash + 2) != strlen(".png")))
    return FALSE;
  *image = video ? -1 : g_ascii_digit_value(dash[1]);
  *(video ? strrchr(name, '.') : dash) = '\0';
  *account = g_strdup(parts[1]);
  *job = g_strdup(name);
  return TRUE;
}

static char *resulted(App *app, const char *account, const char *field, const char *key, InputKind kind,
                      GError **error) {
  g_autofree char *owner = NULL, *id = NULL;
  int image = -1;
  if (!result_parse(key, &owner, &id, &image))
    return refuse_key(field, key, error);
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(GError) problem = NULL;
  g_autoptr(Job) job = session ? job_get(session, id, owner, &problem) : NULL;
  if (!job && (!problem || problem->domain != REFUSAL)) {
    if (problem)
      g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
  }
  gboolean ours = job && (g_str_equal(job->account, account) || job->published > 0);
  gboolean kept = ours && job->status == JOB_COMPLETE && (job->expires == 0 || job->expires > app_now());
  const json_t *object = !kept       ? NULL
                         : image < 0 ? json_object_get(job->result, "video")
                                     : json_array_get(json_object_get(job->result, "images"), (gsize)image);
  if (!json_is_string(object))
    return refuse_key(field, key, error);
  if ((kind == INPUT_VIDEO) != (image < 0))
    return refuse_null(error, REFUSAL_INVALID, "%s must be %s, which %.200s is not.", field, kind_words(kind),
                       key);
  return g_strdup(json_string_value(object));
}

char *upload_object(App *app, const char *account, const char *field, const char *key, InputKind kind,
                    GError **error) {
  return g_str_has_prefix(key, "generations/") ? resulted(app, account, field, key, kind, error)
                                               : uploaded(app, account, field, key, kind, error);
}

/* --- sweeping --- */

gboolean upload_sweep(Session *session, GError **error) {
  /* An hour of grace: nobody is still about to use one of these. */
  gint64 before = app_now() - (UPLOAD_DAYS * 24 + 1) * 3600 * G_GINT64_CONSTANT(1000);
  return session_run(session, error,
                     "DELETE FROM holds WHERE owner IN (SELECT key FROM uploads WHERE created < $1)",
                     integer(before)) &&
         session_run(session, error, "DELETE FROM uploads WHERE created < $1", integer(before));
}
