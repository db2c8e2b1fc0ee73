/* First every variable is resolved into what fills it (a text, a picture, a Character), then these are handed
 * to the operation that the Template is for. What came as a key or as a data URI becomes a draft; drafts that
 * nobody took go when all is over. */
#include "app/templates/template_use.h"

#include "app/inputs/drafts.h"
#include "app/inputs/uploads.h"
#include "app/making/assets.h"
#include "app/making/generations.h"
#include "app/making/renders.h"
#include "app/making/trainings.h"
#include "app/templates/template_prompt.h"
#include "app/templates/templates.h"
#include <string.h>

/* A variable of type image, and what fills it: a picture or a Character. */
typedef struct {
  const char *key, *slot, *character; /* character NULL: the picture */
  InputSource picture;
} Part;

typedef struct {
  App *app;
  const Caller *caller;
  const TemplateUse *use;
  TemplateRow *row;
  json_t *variables;
  GHashTable *texts; /* key -> text; of a Character: its trigger words */
  GArray *parts;     /* Part */
  GPtrArray *drafts; /* DraftFile */
  GPtrArray *names;  /* strings that live as long */
} Filling;

static void filling_clear(Filling *filling) {
  template_row_free(filling->row);
  json_decref(filling->variables);
  g_hash_table_unref(filling->texts);
  g_array_unref(filling->parts);
  g_ptr_array_unref(filling->drafts);
  g_ptr_array_unref(filling->names);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Filling, filling_clear)

static const char *member(const json_t *variable, const char *name) {
  return json_string_value(json_object_get(variable, name));
}

static gboolean is_scene(const Filling *filling) {
  return g_str_equal(filling->row->kind, TEMPLATE_SCENE);
}

/* --- what was sent --- */

static const TemplateValue *sent(const TemplateUse *use, const char *key) {
  for (int i = use->value_count; i-- > 0;)
    if (g_str_equal(use->values[i].key, key))
      return &use->values[i];
  return NULL;
}

static const json_t *variable_named(const json_t *variables, const char *key) {
  for (gsize i = 0; i < json_array_size(variables); i++)
    if (g_strcmp0(member(json_array_get(variables, i), "key"), key) == 0)
      return json_array_get(variables, i);
  return NULL;
}

static gboolean refuse_unknown(const Filling *filling, const char *where, const char *key, GError **error) {
  g_autoptr(GString) known = g_string_new(NULL);
  for (gsize i = 0; i < json_array_size(filling->variables); i++)
    g_string_append_printf(known, "%s%s", known->len ? ", " : "",
                           member(json_array_get(filling->variables, i), "key"));
  return refuse(error, REFUSAL_VARIABLE, "%s: this template has no variable \"%.80s\". It has %s.", where,
                key, known->len ? known->str : "none");
}

static gboolean check_known(const Filling *filling, GError **error) {
  const char *key;
  json_t *id;
  for (int i = 0; i < filling->use->value_count; i++)
    if (!variable_named(filling->variables, filling->use->values[i].key))
      return refuse_unknown(filling, "variables", filling->use->values[i].key, error);
  json_object_foreach((json_t *)filling->use->characters, key, id) {
    const json_t *variable = variable_named(filling->variables, key);
    if (!variable)
      return refuse_unknown(filling, "character_variables", key, error);
    if (!g_str_equal(member(variable, "type"), "image") ||
        (!is_scene(filling) && g_strcmp0(member(variable, "slot"), "character") != 0))
      return refuse(
          error, REFUSAL_VARIABLE,
          "character_variables: the variable %s cannot be filled by a character. Send it in variables.", key);
    if (!json_is_string(id))
      return refuse(error, REFUSAL_VARIABLE, "character_variables.%s must be the id of a character.", key);
  }
  return TRUE;
}

/* --- texts --- */

static gboolean fill_text(Filling *filling, const json_t *variable, const TemplateValue *value,
                          GError **error) {
  const char *key = member(variable, "key"), *usual = member(variable, "default_value");
  if (value && value->file.path)
    return refuse(error, REFUSAL_VARIABLE, "variables.%s is a text, not a file.", key);
  const char *given_text = value ? given(value->text) : NULL;
  const char *filler = given_text ? given_text : given(usual);
  gboolean required = json_is_true(json_object_get(variable, "required"));
  if (!filler)
    return !required || refuse(error, REFUSAL_VARIABLE, "variables.%s is required. Send %s.", key,
                               member(variable, "label"));
  if (!g_utf8_validate(filler, -1, NULL))
    return refuse(error, REFUSAL_VARIABLE, "variables.%s is not valid UTF-8.", key);
  const json_t *bound = json_object_get(variable, "max_length");
  glong length = g_utf8_strlen(filler, -1);
  glong least = (glong)json_integer_value(json_object_get(variable, "min_length"));
  glong most = bound ? (glong)json_integer_value(bound) : TEMPLATE_TEXT_MOST;
  if (length < least || length > most)
    return refuse(error, REFUSAL_VARIABLE, "variables.%s has %ld characters; %ld to %ld are allowed.", key,
                  length, least, most);
  g_hash_table_insert(filling->texts, (gpointer)key, g_strdup(filler));
  return TRUE;
}

/* --- pictures --- */

static const char *field_of(Filling *filling, const char *key) {
  char *field = g_strdup_printf("variables.%s", key);
  g_ptr_array_add(filling->names, field);
  return field;
}

static gboolean take_draft(Filling *filling, DraftFile *draft, const char *field, InputSource *source) {
  if (!draft)
    return FALSE;
  g_ptr_array_add(filling->drafts, draft);
  *source = draft_source(draft, field);
  return TRUE;
}

static gboolean picture_of_text(Filling *filling, const char *field, const char *value, InputSource *source,
                                GError **error) {
  App *app = filling->app;
  if (g_ascii_strncasecmp(value, "data:", 5) == 0)
    return take_draft(filling, draft_of_data(app, field, value, INPUT_PICTURE_BYTES, error), field, source);
  if (g_ascii_strncasecmp(value, "http://", 7) == 0 || g_ascii_strncasecmp(value, "https://", 8) == 0) {
    *source =
        (InputSource){.field = field, .url_field = field, .url = value, .account = filling->caller->account};
    return input_glance(source, error);
  }
  g_autofree char *object = upload_object(app, filling->caller->account, field, value, INPUT_PICTURE, error);
  return object && take_draft(filling, draft_of_object(app, object, error), field, source);
}

static gboolean fill_image(Filling *filling, const json_t *variable, const TemplateValue *value,
                           GError **error) {
  const char *key = member(variable, "key");
  Part part = {.key = key, .slot = member(variable, "slot")};
  part.character = member(filling->use->characters, key);
  const char *field = field_of(filling, key);
  const char *text = value && given(value->text) ? value->text : given(member(variable, "default_value"));
  if (part.character) {
    g_array_append_val(filling->parts, part);
    return TRUE;
  }
  if (value && value->file.path) {
    part.picture = value->file;
    part.picture.field = field;
  } else if (!text) {
    return !json_is_true(json_object_get(variable, "required")) ||
           refuse(error, REFUSAL_VARIABLE,
                  "variables.%s is required. Send a picture there, or a character in character_variables.",
                  key);
  } else if (!picture_of_text(filling, field, text, &part.picture, error)) {
    return FALSE;
  }
  g_array_append_val(filling->parts, part);
  return TRUE;
}

static gboolean fill(Filling *filling, GError **error) {
  for (gsize i = 0; i < json_array_size(filling->variables); i++) {
    const json_t *variable = json_array_get(filling->variables, i);
    const TemplateValue *value = sent(filling->use, member(variable, "key"));
    gboolean good = g_str_equal(member(variable, "type"), "text")
                        ? fill_text(filling, variable, value, error)
                        : fill_image(filling, variable, value, error);
    if (!good)
      return FALSE;
  }
  return TRUE;
}

/* --- a Scene --- */

static const Part *part_at(const Filling *filling, guint i) {
  return &g_array_index(filling->parts, Part, i);
}

/* {"segment": "character"}; NULL with *error where somebody is a picture. */
static char *mapping_of(const Filling *filling, GError **error) {
  json_auto_t *mapping = json_object();
  for (guint i = 0; i < filling->parts->len; i++) {
    const Part *part = part_at(filling, i);
    if (!part->character)
      return refuse_null(
          error, REFUSAL_VARIABLE,
          "variables.%s: in a scene with several people a picture may only play the first of them, "
          "alone. Make a character of it (POST /api/characters) and send its id in "
          "character_variables.",
          part->key);
    json_object_set_new(mapping, part->slot, json_string(part->character));
  }
  return json_dumps(mapping, JSON_COMPACT);
}

static gboolean use_scene(Filling *filling, Job **job, gint64 *price, GError **error) {
  const TemplateUse *use = filling->use;
  const json_t *segments = json_object_get(filling->row->about, "segments");
  const char *first = json_string_value(json_object_get(json_array_get(segments, 0), "uuid"));
  const char *mode;
  RenderRequest render = {.ref_image = {.field = "variables.character"},
                          .driving_video = {.field = "variables.video"},
                          .template_id = use->template_id,
                          .background_mode = g_hash_table_lookup(filling->texts, "background"),
                          .audio = TRUE,
                          .patient = TRUE,
                          .title = filling->row->name,
                          .webhook_url = use->webhook_url,
                          .dialect = use->dialect,
                          .id_prefix = use->id_prefix,
                          .dry_run = use->dry_run};
  if (filling->parts->len == 0)
    return refuse(error, REFUSAL_VARIABLE, "Nobody is cast. Send a character in character_variables.");
  gboolean single = json_array_size(segments) == 1, alone = filling->parts->len == 1;
  const Part *part = part_at(filling, 0);
  char *mapping = NULL;
  if (single && part->character)
    render.character_id = part->character;
  else if (alone && !part->character && g_strcmp0(part->slot, first) == 0)
    render.ref_image = part->picture;
  else if (!(render.character_mapping = mapping = mapping_of(filling, error)))
    return FALSE;
  gboolean good = render_create(filling->app, filling->caller, &render, job, price, &mode, error);
  free(mapping);
  return good;
}

/* --- a prompt --- */

/* The words that call the Character take the place of its tokens. */
static gboolean add_trigger(Filling *filling, const Part *part, GError **error) {
  g_autoptr(Session) session = database_begin(filling->app->database, DATABASE_READ, error);
  g_autoptr(CharacterRow) row =
      session ? character_usable(session, filling->caller->account, part->character, error) : NULL;
  if (!row)
    return FALSE;
  g_autoptr(GError) problem = NULL;
  g_autoptr(TrainingRow) training = training_read(session, row, &problem);
  if (problem) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  if (!training || !training->trigger)
    return refuse(
        error, REFUSAL_NOT_TRAINED,
        "character_variables.%s: character %s was never trained. Train it on ten to thirty pictures.",
        part->key, row->id);
  const char *class = given(training->class);
  g_hash_table_insert(filling->texts, (gpointer)part->key,
                      g_strdup_printf("%s%s%s", training->trigger, class ? " " : "", class ? class : ""));
  return TRUE;
}

static gboolean use_prompt(Filling *filling, Job **job, gint64 *price, GError **error) {
  const TemplateUse *use = filling->use;
  const json_t *about = filling->row->about;
  g_autoptr(GArray) references = g_array_new(FALSE, FALSE, sizeof(InputSource));
  GenerationRequest generation = {.model = given(filling->row->model),
                                  .aspect = member(about, "aspect"),
                                  .count = 1,
                                  .seed = use->seed,
                                  .strength = 1,
                                  .template_id = use->template_id,
                                  .webhook_url = use->webhook_url,
                                  .dialect = use->dialect,
                                  .id_prefix = use->id_prefix,
                                  .dry_run = use->dry_run};
  for (guint i = 0; i < filling->parts->len; i++) {
    const Part *part = part_at(filling, i);
    if (!part->character) {
      g_array_append_val(references, part->picture);
      continue;
    }
    if (!add_trigger(filling, part, error))
      return FALSE;
    generation.character_id = part->character;
  }
  generation.references = (const InputSource *)references->data;
  generation.reference_count = (int)references->len;
  g_autofree char *prompt = template_prompt_fill(member(about, "prompt"), filling->texts);
  generation.prompt = prompt;
  return generation_create(filling->app, filling->caller, &generation, job, price, error);
}

/* --- the whole --- */

static TemplateRow *row_get(App *app, const char *id, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  return session ? template_get(session, id, error) : NULL;
}

gboolean template_use(App *app, const Caller *caller, const TemplateUse *use, Job **job, gint64 *price,
                      GError **error) {
  *job = NULL;
  *price = 0;
  g_auto(Filling) filling = {.app = app,
                             .caller = caller,
                             .use = use,
                             .texts = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free),
                             .parts = g_array_new(FALSE, FALSE, sizeof(Part)),
                             .drafts = g_ptr_array_new_with_free_func((GDestroyNotify)draft_file_free),
                             .names = g_ptr_array_new_with_free_func(g_free)};
  filling.row = row_get(app, use->template_id, error);
  if (!filling.row || !template_sane(app, filling.row, error))
    return FALSE;
  filling.variables = template_variables(filling.row);
  if (!check_known(&filling, error) || !fill(&filling, error))
    return FALSE;
  return is_scene(&filling) ? use_scene(&filling, job, price, error)
                            : use_prompt(&filling, job, price, error);
}
