/* A template's variables come as JSON, as parts of a form named after them, or both; a direct generation
 * names a model and files that lie here already. Each ends in template_use, render_create or
 * generation_create. */
#include "api/prism/prism_generate.h"

#include "api/dialects.h"
#include "api/http/request.h"
#include "api/prism/prism_objects.h"
#include "app/inputs/drafts.h"
#include "app/inputs/uploads.h"
#include "app/making/assets.h"
#include "app/making/generations.h"
#include "app/templates/template_use.h"
#include <string.h>

#define GENERATE_JSON_BYTES (16 * 1000 * 1000)
#define ID_PREFIX "gen_"

/* --- fields --- */

gboolean prism_text(const Request *request, const char *name, const char **text, GError **error) {
  const json_t *value = json_object_get(request->json, name);
  *text = NULL;
  if (value && !json_is_string(value) && !json_is_null(value))
    return refuse(error, REFUSAL_INVALID, "%s must be a string.", name);
  *text = request_field(request, name);
  return TRUE;
}

static gboolean whole_number(const Request *request, const char *name, gint64 usual, gint64 least,
                             gint64 most, gint64 *number, GError **error) {
  const char *text = request_field(request, name);
  *number = usual;
  if (!text || (!request->json && !*text))
    return TRUE;
  const json_t *value = json_object_get(request->json, name);
  if ((request->json && !json_is_integer(value)) ||
      !g_ascii_string_to_signed(text, 10, least, most, number, NULL))
    return refuse(error, REFUSAL_INVALID,
                  "%s must be a whole number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT ".", name, least,
                  most);
  return TRUE;
}

#define read_seed(request, seed, error) whole_number(request, "seed", -1, 0, G_MAXUINT32, seed, error)

/* --- the answer --- */

static Answer *started(Request *request, GPtrArray *jobs, const char *template_id, gint64 price,
                       GError **error) {
  const Job *first = jobs->pdata[0];
  gboolean known = FALSE;
  Latency latency;
  if (!job_latency(request_app(request), first->kind, first->pool, &known, &latency, error))
    g_clear_error(error); /* the jobs are there, whatever is known of others */
  return answer_json(200, prism_started(jobs, template_id, price, known ? &latency : NULL));
}

/* --- a template's variables --- */

typedef struct {
  GArray *values;     /* TemplateValue */
  json_t *characters; /* object */
  json_t *variables;  /* object whose strings the values point to, or NULL */
  GPtrArray *keys;    /* strings that live as long */
} Sent;

static void sent_clear(Sent *sent) {
  g_array_unref(sent->values);
  json_decref(sent->characters);
  json_decref(sent->variables);
  g_ptr_array_unref(sent->keys);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sent, sent_clear)

/* The object under that name: a member of a JSON body, or a field that holds JSON. *object (transfer full)
 * stays NULL where there is none. */
static gboolean read_object(const Request *request, const char *name, json_t **object, GError **error) {
  *object = NULL;
  if (request->json) {
    json_t *value = json_object_get(request->json, name);
    if (value && !json_is_null(value))
      *object = json_incref(value);
  } else if (given(request_field(request, name))) {
    *object = json_loads(request_field(request, name), JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    if (!*object)
      return refuse(error, REFUSAL_INVALID, "%s is not valid JSON.", name);
  }
  return !*object || json_is_object(*object) ||
         refuse(error, REFUSAL_INVALID, "%s must be an object from keys to strings.", name);
}

/* KEY of "variables[KEY]" (transfer full), or NULL. */
static char *bracketed(const char *name, const char *group) {
  gsize length = strlen(group), whole = strlen(name);
  if (whole < length + 3 || strncmp(name, group, length) != 0 || name[length] != '[' ||
      name[whole - 1] != ']')
    return NULL;
  return g_strndup(name + length + 1, whole - length - 2);
}

static gboolean add_variables(Sent *sent, GError **error) {
  const char *key;
  json_t *value;
  json_object_foreach(sent->variables, key, value) {
    TemplateValue item = {.key = key, .text = json_string_value(value)};
    if (!json_is_string(value) && !json_is_null(value))
      return refuse(error, REFUSAL_INVALID, "variables.%.80s must be a string.", key);
    g_array_append_val(sent->values, item);
  }
  return TRUE;
}

static void add_fields(Request *request, Sent *sent) {
  for (guint i = 0; i < request->fields.count; i++) {
    const Field *field = &request->fields.items[i];
    char *key = bracketed(field->name, "variables");
    g_autofree char *character = bracketed(field->name, "character_variables");
    if (key) {
      TemplateValue item = {.key = key, .text = field->value};
      g_ptr_array_add(sent->keys, key);
      g_array_append_val(sent->values, item);
    } else if (character) {
      json_object_set_new(sent->characters, character, json_string(field->value));
    }
  }
}

/* A file part is named "variables[KEY]" or just "KEY". */
static void add_files(Request *request, Sent *sent) {
  for (guint i = 0; request->uploads && i < request->uploads->len; i++) {
    const FilePart *part = &g_array_index(request->uploads, FilePart, i);
    char *key = bracketed(part->field, "variables");
    if (!key)
      key = g_strdup(part->field);
    g_ptr_array_add(sent->keys, key);
    TemplateValue item = {
        .key = key, .file = {.field = key, .path = part->path, .hash = part->hash, .bytes = part->bytes}};
    g_array_append_val(sent->values, item);
  }
}

static gboolean read_characters(Request *request, Sent *sent, GError **error) {
  const char *key;
  json_t *value;
  json_auto_t *given_ones = NULL;
  if (!read_object(request, "character_variables", &given_ones, error))
    return FALSE;
  json_object_foreach(given_ones, key, value) {
    if (json_is_null(value))
      continue;
    if (!json_is_string(value))
      return refuse(error, REFUSAL_INVALID, "character_variables.%.80s must be the id of a character.", key);
    json_object_set_new(sent->characters, key, json_string(shape_plain_character(json_string_value(value))));
  }
  return TRUE;
}

static gboolean read_sent(Request *request, Sent *sent, GError **error) {
  *sent = (Sent){.values = g_array_new(FALSE, FALSE, sizeof(TemplateValue)),
                 .characters = json_object(),
                 .keys = g_ptr_array_new_with_free_func(g_free)};
  if (!read_object(request, "variables", &sent->variables, error) || !add_variables(sent, error) ||
      !read_characters(request, sent, error))
    return FALSE;
  add_fields(request, sent);
  add_files(request, sent);
  if (!sent->variables && !sent->values->len && !json_object_size(sent->characters))
    return refuse(error, REFUSAL_INVALID,
                  "variables is missing. Send an object from the template's keys to their values.");
  return TRUE;
}

gboolean prism_generate_admit(Request *request, guint64 *most, GError **error) {
  *most = GENERATE_JSON_BYTES;
  return TRUE;
}

Answer *prism_generate(Api *api, Request *request, GError **error) {
  g_auto(Sent) sent = {0};
  TemplateUse use = {.template_id = request_argument(request, "template_id"),
                     .dialect = dialect_prism.name,
                     .id_prefix = ID_PREFIX};
  if (!read_sent(request, &sent, error) || !prism_text(request, "webhook_url", &use.webhook_url, error) ||
      !read_seed(request, &use.seed, error) || !request_truth(request, "dry_run", FALSE, &use.dry_run, error))
    return NULL;
  use.values = (const TemplateValue *)sent.values->data;
  use.value_count = (int)sent.values->len;
  use.characters = sent.characters;
  g_autoptr(Job) job = NULL;
  gint64 price;
  if (!template_use(request_app(request), request_caller(request), &use, &job, &price, error))
    return NULL;
  if (!job)
    return shape_dry_run(price, NULL);
  g_autoptr(GPtrArray) jobs = g_ptr_array_new();
  g_ptr_array_add(jobs, job);
  return started(request, jobs, use.template_id, price, error);
}

/* --- direct generations --- */

typedef struct {
  const char *prompt, *model, *aspect, *duration, *resolution, *template_id, *character, *webhook_url;
  const char *start_frame, *end_frame, *source_video, *audio;
  GPtrArray *pictures, *videos; /* keys */
  gint64 count, seed;
  gboolean sound, sound_given, dry_run;
} Wish;

static void wish_clear(Wish *wish) {
  g_clear_pointer(&wish->pictures, g_ptr_array_unref);
  g_clear_pointer(&wish->videos, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Wish, wish_clear)

static gboolean add_keys(const Request *request, const char *name, GPtrArray *keys, GError **error) {
  const json_t *list = json_object_get(request->json, name);
  if (!list || json_is_null(list))
    return TRUE;
  if (!json_is_array(list) || json_array_size(list) > GENERATION_REFERENCES)
    return refuse(error, REFUSAL_INVALID, "%s must be a list of at most %d keys.", name,
                  GENERATION_REFERENCES);
  for (gsize i = 0; i < json_array_size(list); i++) {
    const char *key = json_string_value(json_array_get(list, i));
    if (!key)
      return refuse(error, REFUSAL_INVALID, "%s[%zu] must be a key.", name, i);
    g_ptr_array_add(keys, (gpointer)key);
  }
  return TRUE;
}

static gboolean read_texts(const Request *request, Wish *wish, GError **error) {
  const struct {
    const char *name, **text;
  } texts[] = {
      {"prompt", &wish->prompt},
      {"modelName", &wish->model},
      {"aspectRatio", &wish->aspect},
      {"duration", &wish->duration},
      {"resolution", &wish->resolution},
      {"templateId", &wish->template_id},
      {"characterId", &wish->character},
      {"webhook_url", &wish->webhook_url},
      {"startFrameKey", &wish->start_frame},
      {"endFrameKey", &wish->end_frame},
      {"sourceVideoKey", &wish->source_video},
      {"audioKey", &wish->audio},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
    if (!prism_text(request, texts[i].name, texts[i].text, error))
      return FALSE;
    *texts[i].text = given(*texts[i].text);
  }
  return TRUE;
}

static gboolean check_prompt(const Wish *wish, GError **error) {
  if (!wish->prompt)
    return refuse(error, REFUSAL_PROMPT, "prompt is missing. Say what should be seen.");
  glong length = g_utf8_strlen(wish->prompt, -1);
  return length <= GENERATION_PROMPT_MAX ||
         refuse(error, REFUSAL_PROMPT, "prompt has %ld characters; at most %d are allowed.", length,
                GENERATION_PROMPT_MAX);
}

static gboolean check_aspect(const Wish *wish, GError **error) {
  g_auto(GStrv) known = g_strsplit("auto " GENERATION_ASPECTS, " ", -1);
  if (!wish->aspect || g_strv_contains((const char *const *)known, wish->aspect))
    return TRUE;
  g_autofree char *list = g_strjoinv(", ", known);
  return refuse(error, REFUSAL_ASPECT, "aspectRatio \"%.20s\" is not offered. Send one of %s.", wish->aspect,
                list);
}

static gboolean template_exists(App *app, const char *id, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(TemplateRow) row = session ? template_get(session, id, error) : NULL;
  return row != NULL;
}

static gboolean read_wish(Request *request, Wish *wish, GError **error) {
  *wish = (Wish){.pictures = g_ptr_array_new(), .videos = g_ptr_array_new()};
  const json_t *sound = json_object_get(request->json, "hasAudio");
  wish->sound_given = sound && !json_is_null(sound);
  if (!read_texts(request, wish, error) || !check_prompt(wish, error) || !check_aspect(wish, error) ||
      !whole_number(request, "count", 1, 1, GENERATION_MANY, &wish->count, error) ||
      !read_seed(request, &wish->seed, error) ||
      !request_truth(request, "dry_run", FALSE, &wish->dry_run, error))
    return FALSE;
  if (wish->sound_given && !json_is_boolean(sound))
    return refuse(error, REFUSAL_INVALID, "hasAudio must be true or false.");
  wish->sound = json_is_true(sound);
  if (!wish->model)
    return refuse(error, REFUSAL_MODEL_MISSING, "modelName is missing. Send the name of a model.");
  if (wish->start_frame)
    g_ptr_array_add(wish->pictures, (gpointer)wish->start_frame);
  if (wish->source_video)
    g_ptr_array_add(wish->videos, (gpointer)wish->source_video);
  return add_keys(request, "characterReferenceImageKeys", wish->pictures, error) &&
         add_keys(request, "ingredientImageKeys", wish->pictures, error) &&
         add_keys(request, "referenceVideoKeys", wish->videos, error) &&
         (!wish->template_id || template_exists(request_app(request), wish->template_id, error));
}

/* --- which model, and whether it can do that --- */

static gboolean is_renderer(const char *model) {
  return g_str_equal(model, "V4_Preview") || g_str_equal(model, "V3_Preview");
}

static gboolean check_model(App *app, const char *name, GError **error) {
  const json_t *models = generation_models(app);
  g_autoptr(GString) known = g_string_new("V4_Preview, V3_Preview");
  for (gsize i = 0; i < json_array_size(models); i++) {
    const char *id = json_string_value(json_object_get(json_array_get(models, i), "id"));
    if (g_strcmp0(id, name) == 0)
      return TRUE;
    g_string_append_printf(known, ", %s", id);
  }
  return is_renderer(name) ||
         refuse(error, REFUSAL_MODEL, "modelName \"%.80s\" is unknown. Send one of %s.", name, known->str);
}

/* The length and size of a render are those of its driving video; a picture has neither length nor sound. */
static gboolean check_price(const Wish *wish, GError **error) {
  gboolean renders = is_renderer(wish->model);
  if (wish->duration || wish->resolution)
    return refuse(error, REFUSAL_UNPRICED, "%s: %s has no price for \"%.40s\". %s Leave it out.",
                  wish->duration ? "duration" : "resolution", wish->model,
                  wish->duration ? wish->duration : wish->resolution,
                  renders ? "A render is as long and as large as its driving video."
                          : "It draws pictures of its own size.");
  if (wish->audio || wish->end_frame || (renders && wish->start_frame))
    return refuse(error, REFUSAL_UNPRICED, "%s: %s has no price for it. Leave it out.",
                  wish->audio       ? "audioKey"
                  : wish->end_frame ? "endFrameKey"
                                    : "startFrameKey",
                  wish->model);
  if (renders && wish->aspect && !g_str_equal(wish->aspect, "auto"))
    return refuse(error, REFUSAL_UNPRICED,
                  "aspectRatio: a render has the shape of its driving video. Send auto, or leave it out.");
  if (!renders && (wish->videos->len || wish->sound))
    return refuse(error, REFUSAL_UNPRICED, "%s: %s draws pictures. Send V4_Preview for a video.",
                  wish->videos->len ? "sourceVideoKey" : "hasAudio", wish->model);
  return TRUE;
}

/* --- making them --- */

typedef struct {
  GPtrArray *drafts; /* DraftFile */
} Shelf;

static void shelf_clear(Shelf *shelf) {
  g_clear_pointer(&shelf->drafts, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Shelf, shelf_clear)

static gboolean shelf_take(Request *request, Shelf *shelf, const char *field, const char *key, InputKind kind,
                           InputSource *source, GError **error) {
  App *app = request_app(request);
  g_autofree char *object = upload_object(app, request_caller(request)->account, field, key, kind, error);
  DraftFile *draft = object ? draft_of_object(app, object, error) : NULL;
  if (!draft)
    return FALSE;
  g_ptr_array_add(shelf->drafts, draft);
  *source = draft_source(draft, field);
  return TRUE;
}

static gboolean make_render(Request *request, const Caller *caller, const Wish *wish, Job **job,
                            gint64 *price, GError **error) {
  const char *mode;
  g_auto(Shelf) shelf = {g_ptr_array_new_with_free_func((GDestroyNotify)draft_file_free)};
  RenderRequest render = {.ref_image = {.field = "characterReferenceImageKeys"},
                          .driving_video = {.field = "sourceVideoKey"},
                          .character_id = shape_plain_character(wish->character),
                          .model = wish->model,
                          .audio = !wish->sound_given || wish->sound,
                          .patient = TRUE,
                          .title = wish->prompt,
                          .template_note = wish->template_id,
                          .webhook_url = wish->webhook_url,
                          .dialect = dialect_prism.name,
                          .id_prefix = ID_PREFIX,
                          .dry_run = wish->dry_run};
  if (wish->pictures->len + (wish->character != NULL) != 1)
    return refuse(error, REFUSAL_INVALID,
                  "characterReferenceImageKeys: %s needs exactly one picture of the character.", wish->model);
  if (wish->videos->len != 1)
    return refuse(error, REFUSAL_INVALID, "sourceVideoKey: %s needs exactly one driving video.", wish->model);
  if (wish->pictures->len && !shelf_take(request, &shelf, "characterReferenceImageKeys",
                                         wish->pictures->pdata[0], INPUT_PICTURE, &render.ref_image, error))
    return FALSE;
  return shelf_take(request, &shelf, "sourceVideoKey", wish->videos->pdata[0], INPUT_VIDEO,
                    &render.driving_video, error) &&
         render_create(request_app(request), caller, &render, job, price, &mode, error);
}

static gboolean make_image(Request *request, const Caller *caller, const Wish *wish, gint64 number, Job **job,
                           gint64 *price, GError **error) {
  App *app = request_app(request);
  g_autoptr(GPtrArray) objects = g_ptr_array_new_with_free_func(g_free);
  gboolean shaped = wish->aspect && !g_str_equal(wish->aspect, "auto");
  for (guint i = 0; i < wish->pictures->len; i++) {
    char *object = upload_object(app, request_caller(request)->account, "characterReferenceImageKeys",
                                 wish->pictures->pdata[i], INPUT_PICTURE, error);
    if (!object)
      return FALSE;
    g_ptr_array_add(objects, object);
  }
  g_ptr_array_add(objects, NULL);
  GenerationRequest generation = {.prompt = wish->prompt,
                                  .character_id = shape_plain_character(wish->character),
                                  .model = wish->model,
                                  .aspect = shaped ? wish->aspect : NULL,
                                  .count = 1,
                                  .seed = wish->seed < 0 ? -1 : (wish->seed + number) % G_MAXUINT32,
                                  .strength = 1,
                                  .reference_objects = (const char *const *)objects->pdata,
                                  .template_id = wish->template_id,
                                  .webhook_url = wish->webhook_url,
                                  .dialect = dialect_prism.name,
                                  .id_prefix = ID_PREFIX,
                                  .dry_run = wish->dry_run};
  return generation_create(app, caller, &generation, job, price, error);
}

/* What was made of a request that fails after all. */
static void take_back(Request *request, GPtrArray *jobs) {
  for (guint i = 0; i < jobs->len; i++)
    job_free(job_cancel(request_app(request), ((const Job *)jobs->pdata[i])->id,
                        request_caller(request)->account, NULL));
}

/* The caller of one of several jobs: each has a name of its own under the request's Idempotency-Key, with a
 * letter that no key can have. name (transfer full) must outlive it. */
static Caller caller_of(const Caller *whole, gint64 number, char **name) {
  Caller caller = *whole;
  *name = whole->request ? g_strdup_printf("%s\t%" G_GINT64_FORMAT, whole->request, number) : NULL;
  if (number > 0)
    caller.request = *name;
  return caller;
}

/* Whether the others can be paid too, once the price is known from the first; not asked again of what was
 * made by an attempt that was cut short. */
static gboolean others_affordable(Request *request, const Wish *wish, gint64 price, GError **error) {
  const Caller *caller = request_caller(request);
  gint64 left = wish->dry_run ? wish->count : wish->count - 1;
  return caller->again || asset_affordable(request_app(request), caller->account, price * left, error);
}

/* One job for each. */
static gboolean make_all(Request *request, const Wish *wish, GPtrArray *jobs, gint64 *price, GError **error) {
  for (gint64 i = 0; i < wish->count; i++) {
    Job *job = NULL;
    g_autofree char *name = NULL;
    Caller caller = caller_of(request_caller(request), i, &name);
    gboolean good = is_renderer(wish->model) ? make_render(request, &caller, wish, &job, price, error)
                                             : make_image(request, &caller, wish, i, &job, price, error);
    if (job)
      g_ptr_array_add(jobs, job);
    if (!good || (i == 0 && !others_affordable(request, wish, *price, error)))
      return FALSE;
    if (wish->dry_run)
      return TRUE;
  }
  return TRUE;
}

Answer *prism_generations(Api *api, Request *request, GError **error) {
  g_auto(Wish) wish = {0};
  gint64 price = 0;
  if (!read_wish(request, &wish, error) || !check_model(request_app(request), wish.model, error) ||
      !check_price(&wish, error))
    return NULL;
  g_autoptr(GPtrArray) jobs = g_ptr_array_new_with_free_func((GDestroyNotify)job_free);
  if (!make_all(request, &wish, jobs, &price, error)) {
    take_back(request, jobs);
    return NULL;
  }
  if (wish.dry_run)
    return shape_dry_run(price * wish.count, NULL);
  return started(request, jobs, NULL, price * wish.count, error);
}
