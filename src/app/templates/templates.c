/* A Template is a row, and of a Scene also a hold on its folder. What the row of an imported Scene needs is
 * kept beside it as JSON, so that an import reads no file; of a prompt that JSON is all there is. */
#include "app/templates/templates_private.h"

#include "app/jobs/holds.h"
#include "app/making/generations.h"
#include "app/templates/template_prompt.h"
#include <string.h>

#define COLUMNS                                                                                              \
  "SELECT t.id, t.name, t.kind, t.model, t.about, t.created, h.object FROM templates t LEFT JOIN holds h "   \
  "ON "                                                                                                      \
  "h.owner = t.id AND h.role = 'folder' WHERE t.removed IS NULL "

void template_row_free(TemplateRow *row) {
  if (!row)
    return;
  g_free(row->id);
  g_free(row->name);
  g_free(row->kind);
  g_free(row->model);
  json_decref(row->about);
  g_free(row->folder);
  g_free(row);
}

static TemplateRow *row_read(const Rows *rows) {
  TemplateRow *row = g_new0(TemplateRow, 1);
  row->id = g_strdup(rows_text(rows, 0));
  row->name = g_strdup(rows_text(rows, 1));
  row->kind = g_strdup(rows_text(rows, 2));
  row->model = g_strdup(rows_text(rows, 3));
  row->about = json_loads(rows_text(rows, 4), 0, NULL);
  row->created = rows_integer(rows, 5);
  row->folder = g_strdup(rows_text(rows, 6));
  return row;
}

TemplateRow *template_get(Session *session, const char *id, GError **error) {
  g_autoptr(Rows) rows = session_query(session, error, COLUMNS "AND t.id = $1", text(id));
  if (rows && rows_next(rows, error))
    return row_read(rows);
  if (rows && rows_ended(rows))
    refuse(error, REFUSAL_TEMPLATE, "There is no template %.80s.", id);
  return NULL;
}

GPtrArray *template_list(App *app, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(Rows) rows =
      session ? session_query(session, error, COLUMNS "ORDER BY t.created DESC, t.id DESC") : NULL;
  if (!rows)
    return NULL;
  g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)template_row_free);
  while (rows_next(rows, error))
    g_ptr_array_add(list, row_read(rows));
  return rows_ended(rows) ? g_steal_pointer(&list) : NULL;
}

/* --- changes --- */

/* Of several processes that start at once the first one adds it. */
static gboolean claim_origin(Session *session, const char *origin, const char *id, gboolean *claimed,
                             GError **error) {
  gint64 changed = 1;
  if (origin &&
      !session_run_counted(session, error, &changed,
                           "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO "
                           "NOTHING",
                           text(origin), text(id)))
    return FALSE;
  *claimed = changed == 1;
  return TRUE;
}

gboolean template_insert(App *app, const TemplateRow *row, const char *origin, GError **error) {
  gboolean claimed = FALSE;
  g_autofree char *about = json_dumps(row->about, JSON_COMPACT);
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  if (!session || !claim_origin(session, origin, row->id, &claimed, error))
    return FALSE;
  if (!claimed)
    return TRUE;
  return session_run(session, error,
                     "INSERT INTO templates (id, name, kind, model, about, created) VALUES ($1, $2, $3, $4, "
                     "$5, $6)",
                     text(row->id), text(row->name), text(row->kind), text(row->model), text(about),
                     integer(app_now())) &&
         (!row->folder || holds_set(session, row->id, "folder", row->folder, error)) &&
         session_commit(session, error);
}

gboolean template_remove(App *app, const char *id, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  gint64 changed;
  if (!session || !session_run_counted(session, error, &changed,
                                       "UPDATE templates SET removed = $1 WHERE id = $2 AND removed IS NULL",
                                       integer(app_now()), text(id)))
    return FALSE;
  if (changed == 0)
    return fault(error, FAULT_INPUT, "there is no template %s.", id);
  return holds_drop(session, id, NULL, error) && session_commit(session, error);
}

/* --- searching --- */

const char *template_category(const TemplateRow *row) {
  const char *category = json_string_value(json_object_get(row->about, "category"));
  return category ? category : TEMPLATE_CATEGORY_USUAL;
}

const char *template_description(const TemplateRow *row) {
  return json_string_value(json_object_get(row->about, "description"));
}

static gboolean contains(const char *text, const char *folded) {
  g_autofree char *own = text ? g_utf8_casefold(text, -1) : NULL;
  return own && strstr(own, folded);
}

/* There are few, so all are looked at. */
GPtrArray *template_search(App *app, const char *category, const char *q, int limit, int offset,
                           gint64 *total, GError **error) {
  g_autoptr(GPtrArray) all = template_list(app, error);
  g_autofree char *folded = q ? g_utf8_casefold(q, -1) : NULL;
  if (!all)
    return NULL;
  *total = 0;
  GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify)template_row_free);
  for (guint i = 0; i < all->len; i++) {
    const TemplateRow *row = all->pdata[i];
    if ((category && !g_str_equal(category, template_category(row))) ||
        (folded && !contains(row->name, folded) && !contains(template_description(row), folded)))
      continue;
    if ((*total)++ >= offset && found->len < (guint)limit)
      g_ptr_array_add(found, g_steal_pointer(&all->pdata[i]));
  }
  return found;
}

/* --- what it wants --- */

static json_t *scene_variables(const json_t *segments) {
  json_t *list = json_array();
  gsize people = json_array_size(segments);
  for (gsize i = 0; i < people; i++) {
    g_autofree char *key = people == 1 ? g_strdup("character") : g_strdup_printf("character_%zu", i + 1);
    g_autofree char *label = people == 1 ? g_strdup("Character") : g_strdup_printf("Character %zu", i + 1);
    json_array_append_new(
        list, json_pack("{s:s, s:s, s:s, s:b, s:s, s:s?}", "key", key, "label", label, "type", "image",
                        "required", i == 0, "description",
                        people == 1 ? "Who moves: a character, or a picture of one figure."
                                    : "Who plays this person; people without a character keep their look.",
                        "slot", json_string_value(json_object_get(json_array_get(segments, i), "uuid"))));
  }
  json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:b, s:s, s:s}", "key", "background", "label",
                                        "Background", "type", "text", "required", FALSE, "description",
                                        "original, solid or transparent", "default_value", "original"));
  return list;
}

json_t *template_variables(const TemplateRow *row) {
  if (g_str_equal(row->kind, TEMPLATE_SCENE))
    return scene_variables(json_object_get(row->about, "segments"));
  json_t *list = json_deep_copy(json_object_get(row->about, "variables"));
  for (gsize i = 0; i < json_array_size(list); i++)
    if (!json_object_get(json_array_get(list, i), "required"))
      json_object_set_new(json_array_get(list, i), "required", json_false());
  return list ? list : json_array();
}

/* The model that it names, or any that draws. */
static gboolean model_installed(App *app, const TemplateRow *row) {
  const json_t *models = generation_models(app);
  for (gsize i = 0; i < json_array_size(models); i++)
    if (!*row->model ||
        g_strcmp0(json_string_value(json_object_get(json_array_get(models, i), "id")), row->model) == 0)
      return TRUE;
  return FALSE;
}

static gboolean prompt_sane(App *app, const TemplateRow *row, GError **error) {
  g_autoptr(GError) problem = NULL;
  if (!template_prompt_check(row->about, &problem))
    return refuse(error, REFUSAL_TEMPLATE_BROKEN, "Template %s is broken: %s", row->id, problem->message);
  return model_installed(app, row) ||
         refuse(error, REFUSAL_TEMPLATE_BROKEN,
                "Template %s cannot be used: the model %s is not installed here.", row->id,
                *row->model ? row->model : "that draws");
}

gboolean template_sane(App *app, const TemplateRow *row, GError **error) {
  if (g_str_equal(row->kind, TEMPLATE_PROMPT))
    return prompt_sane(app, row, error);
  g_autofree char *path = row->folder ? objects_path(app->objects, row->folder, NULL) : NULL;
  if (!path || json_array_size(json_object_get(row->about, "segments")) == 0)
    return refuse(error, REFUSAL_TEMPLATE_BROKEN,
                  path ? "In the scene of template %s nobody is seen." : "Template %s has lost its scene.",
                  row->id);
  return TRUE;
}
