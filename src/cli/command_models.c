/* troupe models: the networks, what for, and where they are; the models that draw, and what they can do; and
 * fetching those that are published. */
#include "cli/cli.h"
#include "identity/models/model.h"
#include "identity/models/model_pull.h"
#include "nn/models.h"

#include <stdio.h>

static const char *const states[] = {
    [NETWORK_FOUND] = "ok", [NETWORK_MISSING] = "missing", [NETWORK_DAMAGED] = "damaged"};

static void print_status(const NetworkStatus *status) {
  printf("%-28s %-8s %8.1f MB  %s\n", status->name, states[status->state], (double)status->bytes / 1e6,
         status->purpose);
  if (status->path)
    printf("%-28s %s\n", "", status->path);
}

static json_t *status_json(const NetworkStatus *status) {
  return json_pack("{s:s, s:s, s:I, s:s, s:s?}", "name", status->name, "purpose", status->purpose, "bytes",
                   (json_int_t)status->bytes, "state", states[status->state], "path", status->path);
}

/* A model is opened whole, so that what is listed as good can be used. */
static json_t *model_json(const char *name, const char *folder) {
  g_autoptr(GError) error = NULL;
  g_autofree char *path = model_find(name, folder, &error);
  g_autoptr(Model) model = path ? model_open(path, &error) : NULL;
  if (!model)
    return json_pack("{s:s, s:s, s:s?, s:s}", "name", name, "state", states[NETWORK_DAMAGED], "path", path,
                     "problem", error->message);
  const ModelFacts *facts = model_facts(model);
  return json_pack("{s:s, s:s, s:s, s:s, s:I, s:i, s:I, s:b, s:s}", "name", name, "state",
                   states[NETWORK_FOUND], "title", facts->title, "about", facts->about, "parameters",
                   (json_int_t)transformer_shape(model_transformer(model))->parameters, "steps", facts->steps,
                   "resolution", (json_int_t)facts->resolution, "trainable", facts->trainable, "path", path);
}

static void print_model(json_t *model) {
  const char *problem = json_string_value(json_object_get(model, "problem"));
  printf("%-28s %-8s %8.1f M   %s\n", json_string_value(json_object_get(model, "name")),
         json_string_value(json_object_get(model, "state")),
         json_number_value(json_object_get(model, "parameters")) / 1e6,
         problem ? problem : json_string_value(json_object_get(model, "about")));
  if (!problem)
    printf("%-28s draws %d pixels a side in %d steps%s\n", "",
           (int)json_integer_value(json_object_get(model, "resolution")),
           (int)json_integer_value(json_object_get(model, "steps")),
           json_is_true(json_object_get(model, "trainable")) ? "; can be trained" : "");
  const char *path = json_string_value(json_object_get(model, "path"));
  if (path)
    printf("%-28s %s\n", "", path);
}

static void list_drawing_models(const CommonOptions *common, json_t *array) {
  g_autoptr(GPtrArray) names = model_list(common->models);
  for (guint i = 0; i < names->len; i++) {
    json_t *model = model_json(names->pdata[i], common->models);
    if (!common->json)
      print_model(model);
    json_array_append_new(array, model);
  }
}

/* Those that could be fetched. */
static void print_published(const CommonOptions *common) {
  for (gsize i = 0; i < published_model_count; i++) {
    const PublishedModel *model = &published_models[i];
    g_autofree char *path = model_find(model->name, common->models, NULL);
    if (!path)
      printf("%-28s %-8s %8.1f GB  `troupe models pull %s` fetches it (%s)\n", model->name, "",
             model->gigabytes, model->name, model->licence);
  }
}

static void list_models(const CommonOptions *common) {
  g_autoptr(GPtrArray) list = network_list(common->models);
  json_t *array = json_array();
  for (guint i = 0; i < list->len; i++) {
    json_array_append_new(array, status_json(list->pdata[i]));
    if (!common->json)
      print_status(list->pdata[i]);
  }
  list_drawing_models(common, array);
  if (common->json)
    cli_print_json(json_incref(array));
  else
    print_published(common);
  json_decref(array);
}

static gboolean pull(const CommonOptions *common, const char *name, const char *from, GError **error) {
  Progress *progress = cli_progress_begin(common);
  g_autofree char *folder = NULL;
  if (!model_pull(name, from, common->models, &folder, progress, error))
    return FALSE;
  if (common->json)
    cli_print_json(json_pack("{s:s, s:s}", "name", name, "path", folder));
  else
    printf("%s: %s\n", name, folder);
  return TRUE;
}

int command_models(int argc, char **argv) {
  CommonOptions common = {0};
  g_autofree char *from = NULL;
  const GOptionEntry entries[] = {
      {"from", 0, 0, G_OPTION_ARG_STRING, &from, "Pull from here (" MODEL_HUB ")", "URL"}, {NULL}};
  const Command *command = cli_command("models");
  GError *error = NULL;
  if (cli_parse(command, entries, &common, &argc, &argv, &error)) {
    if (argc == 3 && g_str_equal(argv[1], "pull"))
      pull(&common, argv[2], from, &error);
    else if (argc > 1)
      fault(&error, FAULT_USAGE, "`troupe models` lists them; `troupe models pull NAME` fetches one.");
    else
      list_models(&common);
  }
  g_free(common.models);
  return cli_finish(command->name, error);
}
