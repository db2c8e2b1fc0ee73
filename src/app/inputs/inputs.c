/* Upload or URL -> draft -> a look at the first bytes -> engine child -> store.
 *
 * The first bytes only save the start of a child for what is plainly something else; whether a file is what
 * it claims to be, and how large and long it is, the child finds out behind its walls. A child that dies of a
 * file has thereby said that the file is broken. */
#include "app/inputs/inputs.h"
#include "app/accounts/rate.h"
#include "app/inputs/drafts.h"
#include "app/inputs/inputs_private.h"

#include "engine/child.h"
#include "media/fetch.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#define PICTURE_SECONDS 60 /* for a download */
#define VIDEO_SECONDS 300
#define LOOK_CPU 60

const InputFacts input_facts[] = {
    [INPUT_PICTURE] = {TRUE, "a picture", "PNG, JPEG or WebP", "inspect-picture", INPUT_PICTURE_BYTES,
                       PICTURE_SECONDS, REFUSAL_PICTURE_FORMAT, REFUSAL_PICTURE_TOO_LARGE,
                       REFUSAL_PICTURE_BROKEN},
    [INPUT_VIDEO] = {FALSE, "a video", "MP4, MOV, WebM, AVI or MKV", "inspect-video", INPUT_VIDEO_BYTES,
                     VIDEO_SECONDS, REFUSAL_VIDEO_FORMAT, REFUSAL_VIDEO_TOO_LARGE, REFUSAL_VIDEO_BROKEN},
};

void input_clear(Input *input) {
  g_clear_pointer(&input->object, g_free);
  g_clear_pointer(&input->facts, json_decref);
}

/* --- text --- */

char *input_text(const char *field, const char *value, glong least, glong most, GError **error) {
  if (!g_utf8_validate(value, -1, NULL))
    return refuse_null(error, REFUSAL_INVALID, "%s is not valid UTF-8.", field);
  const char *start = value, *end = value + strlen(value);
  while (*start && g_unichar_isspace(g_utf8_get_char(start)))
    start = g_utf8_next_char(start);
  for (const char *last; end > start && g_unichar_isspace(g_utf8_get_char(last = g_utf8_prev_char(end)));)
    end = last;
  for (const char *c = start; c < end; c = g_utf8_next_char(c))
    if (g_unichar_iscntrl(g_utf8_get_char(c)))
      return refuse_null(error, REFUSAL_INVALID, "%s holds control characters. Send plain text on one line.",
                         field);
  glong length = g_utf8_strlen(start, end - start);
  if (length < least)
    return refuse_null(error, REFUSAL_INVALID, "%s is empty. Send %ld to %ld characters.", field, least,
                       most);
  if (length > most)
    return refuse_null(error, REFUSAL_INVALID, "%s has %ld characters; at most %ld are allowed.", field,
                       length, most);
  return g_strndup(start, (gsize)(end - start));
}

/* --- the draft --- */

/* What messages call it when it comes by URL (transfer full). */
static char *url_name(const InputSource *source) {
  return source->url_field ? g_strdup(source->url_field) : g_strconcat(source->field, "_url", NULL);
}

gboolean input_glance(const InputSource *source, GError **error) {
  g_autoptr(GError) problem = NULL;
  if (source->path || !source->url || fetch_url_check(source->url, &problem))
    return TRUE;
  g_autofree char *name = url_name(source);
  return refuse(error, REFUSAL_URL_FORM, "%s: %s", name, problem->message);
}

void draft_clear(Draft *draft) {
  if (draft->path)
    g_unlink(draft->path);
  g_clear_pointer(&draft->path, g_free);
  g_clear_pointer(&draft->hash, g_free);
}

static gboolean fetch_refused(const InputSource *source, const InputFacts *kind, const GError *problem,
                              GError **error) {
  g_autofree char *name = url_name(source);
  if (g_error_matches(problem, FAULT, FAULT_LIMIT))
    return refuse(error, kind->too_large, "%s: %s", name, problem->message);
  if (g_error_matches(problem, FAULT, FAULT_INPUT))
    return refuse(error, REFUSAL_URL, "%s: %s", name, problem->message);
  g_set_error_literal(error, problem->domain, problem->code, problem->message);
  return FALSE;
}

static gboolean draft_fetch(App *app, const InputFacts *kind, const InputSource *source, Draft *draft,
                            GError **error) {
  g_autoptr(FetchPolicy) policy = fetch_policy_new(app->settings->fetch_allow, error);
  g_autofree char *path = policy ? objects_draft(app->objects, error) : NULL;
  if (!path)
    return FALSE;
  FetchLimits limits = {.bytes = kind->bytes, .seconds = kind->seconds};
  g_auto(Fetched) fetched = {0};
  g_autoptr(GError) problem = NULL;
  if (source->account && !download_begin(app, source->account, error))
    return FALSE;
  gboolean good = fetch_file(source->url, path, policy, &limits, &fetched, &problem);
  if (source->account)
    download_end(app, source->account);
  if (!good)
    return fetch_refused(source, kind, problem, error);
  draft->path = g_steal_pointer(&path);
  draft->hash = g_steal_pointer(&fetched.sha256);
  draft->bytes = fetched.bytes;
  g_autofree char *name = url_name(source);
  return !fetched.content_type || !g_str_has_prefix(fetched.content_type, "text/") ||
         refuse(error, kind->format,
                "%s leads to a page of text (%s), not to %s. Send the address of the file itself.", name,
                fetched.content_type, kind->what);
}

static gboolean draft_named(App *app, const InputFacts *kind, const InputSource *source, Draft *draft,
                            GError **error) {
  g_autofree char *name = url_name(source);
  g_autoptr(DraftFile) own = NULL;
  if (!draft_of_address(app, name, source->url, &own, error))
    return FALSE;
  if (!own)
    return draft_fetch(app, kind, source, draft, error);
  *draft = (Draft){g_steal_pointer(&own->path), g_steal_pointer(&own->hash), own->bytes};
  return TRUE;
}

static gboolean draft_begin(App *app, const InputFacts *kind, const InputSource *source, Draft *draft,
                            GError **error) {
  if (!source->path)
    return draft_named(app, kind, source, draft, error);
  draft->path = g_strdup(source->path);
  draft->hash = g_strdup(source->hash);
  draft->bytes = source->bytes;
  return TRUE;
}

/* --- the look --- */

static gboolean begins(const guint8 *bytes, gsize at, const char *mark) {
  return memcmp(bytes + at, mark, strlen(mark)) == 0;
}

static gboolean plausible_picture(const guint8 *bytes) {
  return begins(bytes, 0, "\x89PNG") || begins(bytes, 0, "\xff\xd8\xff") ||
         (begins(bytes, 0, "RIFF") && begins(bytes, 8, "WEBP"));
}

static gboolean plausible_video(const guint8 *bytes) {
  static const char *const boxes[] = {"ftyp", "moov", "mdat", "wide", "free", "skip", "pnot", "uuid"};
  for (gsize i = 0; i < G_N_ELEMENTS(boxes); i++)
    if (begins(bytes, 4, boxes[i]))
      return TRUE;
  return begins(bytes, 0, "\x1a\x45\xdf\xa3") || (begins(bytes, 0, "RIFF") && begins(bytes, 8, "AVI "));
}

static gboolean sniff(const InputFacts *kind, const InputSource *source, const Draft *draft, GError **error) {
  if (draft->bytes == 0)
    return refuse(error, kind->broken, "%s is empty. Send %s.", source->field, kind->kinds);
  if (draft->bytes > kind->bytes)
    return refuse(error, kind->too_large,
                  "%s has %" G_GINT64_FORMAT " bytes; the limit is %" G_GINT64_FORMAT " MB.", source->field,
                  draft->bytes, kind->bytes / 1000000);
  guint8 bytes[16] = {0};
  FILE *file = g_fopen(draft->path, "rbe");
  if (!file)
    return fault(error, FAULT_STORE, "an upload cannot be read: %s.", g_strerror(errno));
  gsize read = fread(bytes, 1, sizeof bytes - 1, file);
  fclose(file);
  if (read > 0 && (kind->picture ? plausible_picture(bytes) : plausible_video(bytes)))
    return TRUE;
  return refuse(error, kind->format, "%s is not %s that can be read. Send %s.", source->field, kind->what,
                kind->kinds);
}

gboolean draft_take(App *app, const InputFacts *kind, const InputSource *source, Draft *draft,
                    GError **error) {
  return draft_begin(app, kind, source, draft, error) && sniff(kind, source, draft, error);
}

/* The child may have been taken over by the file: of what it says only what an inspection can find is
 * believed. */
gboolean draft_refused(const InputFacts *kind, const InputSource *source, const char *code,
                       const char *message, GError **error) {
  if (!code)
    return refuse(error, kind->broken, "%s cannot be decoded. Send %s.", source->field, kind->kinds);
  Refusal why = refusal_named(code);
  if (why >= REFUSAL_PICTURE_FORMAT && why <= REFUSAL_VIDEO_BROKEN)
    return refuse(error, why, "%s: %s", source->field, message);
  return fault(error, why == REFUSAL_BUSY ? FAULT_STORE : FAULT_INTERNAL, "%s could not be inspected: %s",
               source->field, message);
}

gboolean draft_look(App *app, const InputFacts *kind, const InputSource *source, const Draft *draft,
                    json_t **facts, GError **error) {
  json_t *task = json_pack("{s:s, s:s}", "do", kind->task, kind->picture ? "picture" : "video", draft->path);
  if (!task)
    return fault(error, FAULT_INTERNAL, "the path of a draft is not UTF-8.");
  ChildLimits limits = {.models = app->settings->models,
                        .memory = app->settings->engine_memory,
                        .cpu_seconds = LOOK_CPU,
                        .silence = LOOK_SILENCE};
  g_auto(ChildOutcome) outcome = {0};
  gboolean ran = child_run(task, &limits, &outcome, NULL, error);
  json_decref(task);
  if (!ran)
    return FALSE;
  if (!outcome.result)
    return draft_refused(kind, source, outcome.code, outcome.message, error);
  *facts = g_steal_pointer(&outcome.result);
  return TRUE;
}

static gboolean take(App *app, InputKind which, const InputSource *source, gboolean keep, Input *input,
                     GError **error) {
  const InputFacts *kind = &input_facts[which];
  g_auto(Draft) draft = {0};
  g_auto(Input) seen = {0};
  if (!draft_take(app, kind, source, &draft, error) ||
      !draft_look(app, kind, source, &draft, &seen.facts, error))
    return FALSE;
  if (keep && !(seen.object = objects_put(app->objects, draft.path, draft.hash, NULL, error)))
    return FALSE;
  *input = seen;
  seen = (Input){0};
  return TRUE;
}

gboolean input_take(App *app, InputKind kind, const InputSource *source, Input *input, GError **error) {
  return take(app, kind, source, TRUE, input, error);
}

gboolean input_inspect(App *app, InputKind kind, const InputSource *source, Input *input, GError **error) {
  return take(app, kind, source, FALSE, input, error);
}
