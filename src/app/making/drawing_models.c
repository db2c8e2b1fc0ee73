/* A model's folder says what it is; no network is opened here. */
#include "app/making/drawing_models.h"

#include "app/accounts/caches.h"
#include "identity/models/model_file.h"

struct ModelTable {
  GMutex lock;
  json_t *models; /* NULL before some were found */
  json_t *none;
};

ModelTable *model_table_new(void) {
  ModelTable *table = g_new0(ModelTable, 1);
  g_mutex_init(&table->lock);
  table->none = json_array();
  return table;
}

void model_table_free(ModelTable *table) {
  if (!table)
    return;
  json_decref(table->models);
  json_decref(table->none);
  g_mutex_clear(&table->lock);
  g_free(table);
}

static json_t *describe(const char *name, const char *folder) {
  g_autofree char *path = model_find(name, folder, NULL);
  g_autoptr(ModelFile) file = path ? model_file_read(path, NULL) : NULL;
  if (!file) /* damaged: `troupe models` says how */
    return NULL;
  const ModelFacts *facts = &file->facts;
  return json_pack("{s:s, s:s, s:s, s:I, s:b}", "id", name, "title", facts->title ? facts->title : name,
                   "about", facts->about ? facts->about : "", "resolution", (json_int_t)facts->resolution,
                   "trainable", facts->trainable);
}

/* The usual model first, the others by name. */
static json_t *find_all(const char *folder) {
  g_autoptr(GPtrArray) names = model_list(folder);
  json_t *list = json_array();
  for (guint i = 0; i < names->len; i++) {
    json_t *model = describe(names->pdata[i], folder);
    if (model && g_str_equal(names->pdata[i], MODEL_DEFAULT))
      json_array_insert_new(list, 0, model);
    else if (model)
      json_array_append_new(list, model);
  }
  return list;
}

const json_t *drawing_models(App *app) {
  ModelTable *table = app->model_table;
  g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&table->lock);
  if (table->models)
    return table->models;
  json_t *found = find_all(app->settings->models);
  if (json_array_size(found))
    return table->models = found;
  json_decref(found);
  return table->none;
}

static gboolean can_train(const json_t *model) {
  return json_is_true(json_object_get(model, "trainable"));
}

static char *name_of(const json_t *model) {
  return g_strdup(json_string_value(json_object_get(model, "id")));
}

static char *refuse_none(gboolean trainable, GError **error) {
  return refuse_null(error, trainable ? REFUSAL_TRAINER : REFUSAL_MODEL,
                     "No model that can %s is installed here. The operator can put one into the models' "
                     "folder: `troupe models` lists what is there and how to get more.",
                     trainable ? "be trained" : "draw");
}

char *drawing_model(App *app, const char *name, gboolean trainable, GError **error) {
  const json_t *models = drawing_models(app), *model;
  size_t i;
  gboolean any = FALSE;
  json_array_foreach(models, i, model) {
    gboolean fits = !trainable || can_train(model);
    any |= fits;
    if (fits && (!name || g_str_equal(name, json_string_value(json_object_get(model, "id")))))
      return name_of(model);
  }
  if (!any)
    return refuse_none(trainable, error);
  return refuse_null(error, REFUSAL_MODEL, "The model \"%.80s\" %s here.", name,
                     trainable ? "is not installed, or cannot be trained," : "is not installed");
}

gint64 drawing_seed(void) {
  guint32 seed;
  app_random(&seed, sizeof seed);
  return seed;
}
