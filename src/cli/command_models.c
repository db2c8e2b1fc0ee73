/* troupe models: the networks, what for, and where they are. */
#include "cli/cli.h"
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

static void list_models(const CommonOptions *common) {
  g_autoptr(GPtrArray) list = network_list(common->models);
  json_t *array = json_array();
  for (guint i = 0; i < list->len; i++) {
    json_array_append_new(array, status_json(list->pdata[i]));
    if (!common->json)
      print_status(list->pdata[i]);
  }
  if (common->json)
    cli_print_json(json_incref(array));
  json_decref(array);
}

int command_models(int argc, char **argv) {
  CommonOptions common = {0};
  const Command *command = cli_command("models");
  GError *error = NULL;
  if (cli_parse(command, NULL, &common, &argc, &argv, &error)) {
    if (argc > 1)
      fault(&error, FAULT_USAGE, "`troupe models` takes no arguments.");
    else
      list_models(&common);
  }
  g_free(common.models);
  return cli_finish(command->name, error);
}
