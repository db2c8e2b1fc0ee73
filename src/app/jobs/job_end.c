/* The end of a job: everything that must happen together. The first statement changes the row only if the job
 * is still unfinished (and the worker's); all the rest follows from that one having found its row, so a
 * second end, by whomever, changes nothing. */
#include "app/jobs/holds.h"
#include "app/jobs/jobs_private.h"
#include "app/jobs/webhooks.h"

#include <stdlib.h>
#include <string.h>

/* What a Render or Generation makes belongs to the job; all else to the Character or Scene. */
static gboolean holds_itself(const Job *job) {
  return job->kind == JOB_RENDER || job->kind == JOB_GENERATION;
}

static gboolean end_row(Session *session, const Job *job, const JobEnd *end, gint64 charge, gint64 now,
                        gboolean *held, GError **error) {
  gboolean complete = end->status == JOB_COMPLETE;
  json_auto_t *result = complete ? json_deep_copy(end->result) : NULL;
  if (complete && !result)
    result = json_object();
  if (complete && end->objects)
    json_object_update_missing(result, end->objects);
  g_autofree char *result_text = result ? json_dumps(result, JSON_COMPACT) : NULL;
  gboolean expires = complete && holds_itself(job);
  gint64 changed = 0;
  if (!session_run_counted(
          session, error, &changed,
          "UPDATE jobs SET status = $1, charged = $2, result = $3, error = $4, error_code = $5, "
          "completed = $6, expires = $7, lease = NULL, stage = NULL, "
          "progress = CASE WHEN $8 = 1 THEN 100 ELSE progress END "
          "WHERE id = $9 AND status IN ('queued', 'processing') "
          "AND ($10 = 1 OR (status = 'processing' AND worker = $11 AND attempts = $12))",
          text(job_status_name(end->status)), integer(charge), text(result_text), text(end->error),
          text(end->error_code), integer(now), expires ? integer(now + end->keep) : null(), integer(complete),
          text(job->id), integer(end->anyone), text(job->worker), integer(job->attempts)))
    return FALSE;
  *held = changed == 1;
  return TRUE;
}

/* ---- the Character or Scene that it makes ---- */

/* [{"uuid": "person_a1b2c3d4", "type": "human", "person": 1}] in the order of people, which is most seen
 * first. */
static char *segments_of(const json_t *people) {
  json_auto_t *segments = json_array();
  g_autoptr(GHashTable) taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  json_t *person;
  size_t index;
  json_array_foreach(people, index, person) {
    json_int_t id = json_integer_value(json_object_get(person, "id"));
    char *uuid = NULL;
    do {
      guint32 number;
      app_random(&number, sizeof number);
      g_free(uuid);
      uuid = g_strdup_printf("person_%08x", number);
    } while (g_hash_table_contains(taken, uuid));
    g_hash_table_add(taken, uuid);
    json_array_append_new(segments,
                          json_pack("{s:s, s:s, s:I}", "uuid", uuid, "type", "human", "person", id));
  }
  return json_dumps(segments, JSON_COMPACT);
}

static gboolean scene_facts(Session *session, const Job *job, const json_t *result, GError **error) {
  g_autofree char *segments = segments_of(json_object_get(result, "people"));
#define NUMBER(name) json_number_value(json_object_get(result, name))
  return session_run(
      session, error,
      "UPDATE scenes SET seconds = $1, fps = $2, frames = $3, width = $4, height = $5, segments = $6 "
      "WHERE id = $7",
      real(NUMBER("seconds")), real(NUMBER("fps")), integer((gint64)NUMBER("frames")),
      integer((gint64)NUMBER("width")), integer((gint64)NUMBER("height")), text(segments),
      text(job->subject));
#undef NUMBER
}

static gboolean end_character(Session *session, const Job *job, const JobEnd *end, gint64 charge, gint64 now,
                              gint64 *changed, GError **error) {
  return session_run_counted(
      session, error, changed,
      "UPDATE characters SET status = $1, error = $2, error_code = $3, completed = $4, credits = $5 "
      "WHERE id = $6 AND deleted IS NULL",
      text(end->status == JOB_COMPLETE ? "ready" : "failed"), text(end->error), text(end->error_code),
      integer(now), integer(charge), text(job->subject));
}

static gboolean end_scene(Session *session, const Job *job, const JobEnd *end, gint64 now, gint64 *changed,
                          GError **error) {
  gboolean complete = end->status == JOB_COMPLETE;
  return session_run_counted(session, error, changed,
                             "UPDATE scenes SET status = $1, error = $2, error_code = $3, completed = $4 "
                             "WHERE id = $5 AND deleted IS NULL",
                             text(complete ? "ready" : "failed"), text(end->error), text(end->error_code),
                             integer(now), text(job->subject)) &&
         (*changed != 1 || !complete || scene_facts(session, job, end->result, error));
}

/* How a Training went is read from its job; the Character must only still be there to take what it made. */
static gboolean end_training(Session *session, const Job *job, gint64 *changed, GError **error) {
  g_autoptr(Rows) rows = session_query(
      session, error, "SELECT 1 FROM characters WHERE id = $1 AND deleted IS NULL", text(job->subject));
  *changed = rows && rows_next(rows, error);
  return rows && (*changed || rows_ended(rows));
}

/* alive: it was not deleted meanwhile. */
static gboolean end_subject(Session *session, const Job *job, const JobEnd *end, gint64 charge, gint64 now,
                            gboolean *alive, GError **error) {
  gint64 changed = 0;
  gboolean good = TRUE;
  if (job->kind == JOB_CHARACTER)
    good = end_character(session, job, end, charge, now, &changed, error);
  else if (job->kind == JOB_SCENE)
    good = end_scene(session, job, end, now, &changed, error);
  else if (job->kind == JOB_TRAINING)
    good = end_training(session, job, &changed, error);
  *alive = changed == 1;
  return good;
}

/* ---- what it holds ---- */

static gboolean hold_made(Session *session, const char *owner, json_t *objects, GError **error) {
  const char *role;
  json_t *object;
  json_object_foreach(objects, role, object) {
    if (json_is_string(object) && !holds_set(session, owner, role, json_string_value(object), error))
      return FALSE;
  }
  return TRUE;
}

gboolean job_end(Session *session, const Job *job, const JobEnd *end, gboolean *held, GError **error) {
  gint64 now = app_now(), charge = end->status == JOB_COMPLETE ? CLAMP(end->charge, 0, job->price) : 0;
  gboolean own = holds_itself(job), alive = FALSE;
  if (!end_row(session, job, end, charge, now, held, error))
    return FALSE;
  if (!*held)
    return TRUE;
  if (!holds_drop(session, job->id, NULL, error) ||
      (!own && !end_subject(session, job, end, charge, now, &alive, error)))
    return FALSE;
  if (end->status == JOB_COMPLETE && (own || alive) &&
      !hold_made(session, own ? job->id : job->subject, end->objects, error))
    return FALSE;
  return ledger_settle(session, job->account, job->id, charge, error) &&
         (!job->webhook_url || webhook_owe(session, job, error));
}
