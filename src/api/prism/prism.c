/* Prism's API under /api: its routes, and from each request to an operation of app/ and back. GET
 * /api/characters is also Viggle's; a key that begins with prism_sk_ means this one. */
#include "api/dialects.h"
#include "api/http/request.h"
#include "api/prism/prism_generate.h"
#include "api/prism/prism_objects.h"
#include "app/inputs/uploads.h"
#include "app/making/assets.h"
#include "app/making/generations.h"
#include <string.h>

#define PAGE_USUAL 24
#define PAGE_MOST 60
#define TEMPLATES_USUAL 50
#define TEMPLATES_MOST 100
#define QUERY_LEAST 2
#define QUERY_MOST 200
#define PICTURES_MOST 10
#define NAME_MOST 60
#define DESCRIPTION_MOST 300

/* A search of two characters or more; *q NULL where there is none. */
static gboolean read_query(const Request *request, gboolean required, const char **q, GError **error) {
  *q = request_query(request, "q");
  if (!*q && !required)
    return TRUE;
  glong length = *q ? g_utf8_strlen(*q, -1) : 0;
  return (length >= QUERY_LEAST && length <= QUERY_MOST) ||
         refuse(error, REFUSAL_INVALID, "q must have %d to %d characters.", QUERY_LEAST, QUERY_MOST);
}

/* --- characters --- */

static gboolean add_address(const char *field, const char *url, const Caller *caller, InputSource *source,
                            GError **error) {
  if (g_ascii_strncasecmp(url, "data:", 5) == 0)
    return refuse(error, REFUSAL_INVALID,
                  "%s is a data URI, which is not taken here. Send http or https addresses, or files as "
                  "multipart/form-data.",
                  field);
  if (g_ascii_strncasecmp(url, "http://", 7) != 0 && g_ascii_strncasecmp(url, "https://", 8) != 0)
    return refuse(
        error, REFUSAL_INVALID,
        "%s is not an http or https address; keys of files are not taken here. Send addresses, or files "
        "as multipart/form-data.",
        field);
  *source = (InputSource){.field = field, .url_field = field, .url = url, .account = caller->account};
  return TRUE;
}

typedef struct {
  InputSource sources[PICTURES_MOST];
  char names[PICTURES_MOST][16]; /* "images[9]" */
  int count;
} Pictures;

static gboolean add_source(Pictures *pictures, InputSource source) {
  if (pictures->count < PICTURES_MOST) {
    source.field = pictures->names[pictures->count];
    if (source.url)
      source.url_field = source.field;
    pictures->sources[pictures->count] = source;
  }
  pictures->count++; /* may pass the limit, and is refused then */
  return TRUE;
}

static gboolean add_addresses(const Request *request, const char *name, Pictures *pictures, GError **error) {
  for (const char *const *url = request_fields(request, name); *url; url++) {
    InputSource source = {0};
    if (!request->json && !**url)
      continue; /* forms send empty fields for what was left out */
    g_autofree char *field = g_strdup_printf("images[%d]", pictures->count);
    if (!add_address(field, *url, request_caller(request), &source, error))
      return FALSE;
    add_source(pictures, source);
  }
  return TRUE;
}

static void add_files(Request *request, const char *name, Pictures *pictures) {
  InputSource *files;
  int count = request_files(request, name, &files);
  for (int i = 0; i < count; i++)
    add_source(pictures, files[i]);
}

static gboolean check_list(const Request *request, GError **error) {
  const json_t *images = json_object_get(request->json, "images");
  if (!request->json || !images)
    return TRUE;
  gboolean good = json_is_array(images);
  for (gsize i = 0; good && i < json_array_size(images); i++)
    good = json_is_string(json_array_get(images, i));
  return good || refuse(error, REFUSAL_INVALID, "images must be a list of http or https addresses.");
}

static gboolean read_pictures(Request *request, Pictures *pictures, GError **error) {
  pictures->count = 0;
  for (int i = 0; i < PICTURES_MOST; i++)
    g_snprintf(pictures->names[i], sizeof pictures->names[i], "images[%d]", i);
  if (!check_list(request, error))
    return FALSE;
  add_files(request, "images", pictures);
  add_files(request, "images[]", pictures);
  if (!add_addresses(request, "images", pictures, error) ||
      (!request->json && !add_addresses(request, "images[]", pictures, error)))
    return FALSE;
  return (pictures->count >= 1 && pictures->count <= PICTURES_MOST) ||
         refuse(error, REFUSAL_INVALID, "images: send 1 to %d pictures, not %d.", PICTURES_MOST,
                pictures->count);
}

static Answer *create_character(Api *api, Request *request, GError **error) {
  Pictures pictures;
  CharacterRequest character = {.free = TRUE, .dialect = dialect_prism.name};
  const char *name, *words;
  if (!prism_text(request, "name", &name, error) || !prism_text(request, "description", &words, error) ||
      !prism_text(request, "webhook_url", &character.webhook_url, error) ||
      !request_truth(request, "dry_run", FALSE, &character.dry_run, error))
    return NULL;
  g_autofree char *own = input_text("name", name ? name : "", 1, NAME_MOST, error);
  g_autofree char *description =
      own && words ? input_text("description", words, 0, DESCRIPTION_MOST, error) : NULL;
  if (!own || (words && !description) || !read_pictures(request, &pictures, error))
    return NULL;
  character.name = own;
  character.description = given(description);
  character.image = pictures.sources[0];
  character.more = pictures.sources + 1;
  character.more_count = pictures.count - 1;
  g_autoptr(CharacterRow) row = NULL;
  gint64 price;
  if (!character_create(request_app(request), request_caller(request), &character, &row, &price, error))
    return NULL;
  return row ? answer_json(201, json_pack("{s:o}", "data", prism_character(row)))
             : shape_dry_run(price, NULL);
}

static Answer *list_characters(Api *api, Request *request, GError **error) {
  int limit, offset;
  const char *q;
  gint64 total;
  if (!read_query(request, FALSE, &q, error) ||
      !request_page(request, PAGE_USUAL, PAGE_MOST, TRUE, &limit, &offset, error))
    return NULL;
  g_autoptr(GPtrArray) rows = character_list(request_app(request), request_caller(request)->account, q, TRUE,
                                             limit, offset, &total, error);
  if (!rows)
    return NULL;
  json_t *data = json_array();
  for (guint i = 0; i < rows->len; i++)
    json_array_append_new(data, prism_character(rows->pdata[i]));
  return prism_list(data, limit, offset, total);
}

/* --- templates --- */

static Answer *list_templates(Api *api, Request *request, GError **error) {
  int limit, offset;
  const char *q;
  gint64 total;
  if (!read_query(request, FALSE, &q, error) ||
      !request_page(request, TEMPLATES_USUAL, TEMPLATES_MOST, TRUE, &limit, &offset, error))
    return NULL;
  g_autoptr(GPtrArray) rows = template_search(request_app(request), given(request_query(request, "category")),
                                              q, limit, offset, &total, error);
  if (!rows)
    return NULL;
  json_t *data = json_array();
  for (guint i = 0; i < rows->len; i++)
    json_array_append_new(data, prism_template(request_app(request), rows->pdata[i]));
  return prism_list(data, limit, offset, total);
}

static Answer *get_template(Api *api, Request *request, GError **error) {
  App *app = request_app(request);
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(TemplateRow) row =
      session ? template_get(session, request_argument(request, "template_id"), error) : NULL;
  return row ? answer_json(200, json_pack("{s:o}", "data", prism_template(app, row))) : NULL;
}

/* --- generations --- */

static Answer *get_generation(Api *api, Request *request, GError **error) {
  App *app = request_app(request);
  const char *id = request_argument(request, "generation_id");
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(GError) problem = NULL;
  g_autoptr(Job) job = session ? job_get(session, id, request_caller(request)->account, &problem) : NULL;
  if (problem && !g_error_matches(problem, REFUSAL, REFUSAL_NOT_FOUND)) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
  }
  if (session && (!job || (job->kind != JOB_RENDER && job->kind != JOB_GENERATION)))
    return refuse_null(error, REFUSAL_NOT_FOUND, "Generation not found");
  return job ? answer_json(200, prism_generation(app, job)) : NULL;
}

/* --- uploads --- */

static Answer *presign_upload(Api *api, Request *request, GError **error) {
  const char *kind, *type, *name;
  if (!prism_text(request, "kind", &kind, error) || !prism_text(request, "contentType", &type, error) ||
      !prism_text(request, "fileName", &name, error))
    return NULL;
  if (g_strcmp0(kind, "upload") != 0)
    return refuse_null(error, REFUSAL_INVALID, "kind must be \"upload\".");
  if (!given(type))
    return refuse_null(error, REFUSAL_INVALID,
                       "contentType is missing. Send the type of the file: image/png.");
  g_auto(Upload) upload = {0};
  if (!upload_offer(request_app(request), request_caller(request)->account, type, -1, &upload, error))
    return NULL;
  return answer_json(200,
                     json_pack("{s:s, s:s, s:s, s:I}", "s3_key", upload.key, "upload_url", upload.put_url,
                               "content_type", type, "max_bytes", (json_int_t)upload.most));
}

/* --- assets --- */

static gboolean read_choice(const Request *request, const char *name, const char *const *choices, int *choice,
                            GError **error) {
  const char *value = given(request_query(request, name));
  *choice = 0;
  for (int i = 0; value && choices[i]; i++)
    if (g_str_equal(choices[i], value)) {
      *choice = i;
      return TRUE;
    }
  g_autofree char *list = g_strjoinv(", ", (char **)choices);
  return !value ||
         refuse(error, REFUSAL_INVALID, "%s \"%.40s\" is unknown. Send one of %s.", name, value, list);
}

static Answer *search_assets(Api *api, Request *request, GError **error) {
  static const char *const types[] = {"all", "image", "video", NULL}, *const sources[] = {"all", "community",
                                                                                          "history", NULL};
  static const unsigned kinds[] = {WORK_RENDERS | WORK_GENERATIONS, WORK_GENERATIONS, WORK_RENDERS};
  enum { EVERYTHING, COMMUNITY, HISTORY };
  int type, source;
  gint64 total;
  const char *account = request_caller(request)->account;
  WorkQuery query = {.complete = TRUE};
  if (!read_query(request, TRUE, &query.q, error) || !read_choice(request, "type", types, &type, error) ||
      !read_choice(request, "source", sources, &source, error) ||
      !request_page(request, PAGE_USUAL, PAGE_MOST, TRUE, &query.limit, &query.offset, error))
    return NULL;
  query.kinds = kinds[type];
  query.account = source == COMMUNITY ? NULL : account;
  query.others = source == EVERYTHING;
  query.published = source == COMMUNITY;
  g_autoptr(GPtrArray) jobs = work_search(request_app(request), &query, &total, error);
  if (!jobs)
    return NULL;
  json_t *data = json_array();
  for (guint i = 0; i < jobs->len; i++) {
    const Job *job = jobs->pdata[i];
    gboolean community = source == COMMUNITY || !g_str_equal(job->account, account);
    json_array_append_new(data, prism_asset(request_app(request), job, community));
  }
  return prism_list(data, query.limit, query.offset, total);
}

/* --- the table --- */

#define SCOPE "templates:read" /* the one that this API has */

static const Route routes[] = {
    {"POST", "/api/characters", create_character, ROUTE_SLOW, BODY_MULTIPART | BODY_JSON, SCOPE},
    {"GET", "/api/characters", list_characters, 0, BODY_NONE, SCOPE},
    {"GET", "/api/templates", list_templates, 0, BODY_NONE, SCOPE},
    {"GET", "/api/templates/{template_id}", get_template, 0, BODY_NONE, SCOPE},
    {"POST", "/api/templates/{template_id}/generate", prism_generate, ROUTE_SLOW, BODY_MULTIPART | BODY_JSON,
     SCOPE, prism_generate_admit},
    {"POST", "/api/generations", prism_generations, ROUTE_SLOW, BODY_JSON, SCOPE},
    {"GET", "/api/generations/{generation_id}", get_generation, 0, BODY_NONE, SCOPE},
    {"POST", "/api/s3/presign-upload", presign_upload, ROUTE_SLOW, BODY_JSON, SCOPE},
    {"GET", "/api/assets/search", search_assets, 0, BODY_NONE, SCOPE},
};

const Dialect dialect_prism = {.name = "prism",
                               .prefixes = {"/api/templates", "/api/generations", "/api/s3", "/api/assets"},
                               .key = "prism_sk_",
                               .routes = routes,
                               .route_count = G_N_ELEMENTS(routes),
                               .errors = prism_errors,
                               .error_body = prism_error_body,
                               .job_object = prism_job_object};
