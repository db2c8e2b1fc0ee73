/* One table says what settings there are; each source is looked through for every row of it. */
#include "cli/settings.h"

#include <string.h>

typedef enum { SETTING_TEXT, SETTING_INTEGER, SETTING_TRUTH } SettingKind;

typedef struct {
  const char *name, *argument, *help;
  SettingKind kind;
  gboolean own; /* lies in ServerSettings, not in Settings */
  gsize offset;
  gint64 least, most; /* of an integer */
} Setting;

#define APP(field) FALSE, G_STRUCT_OFFSET(Settings, field)
#define OWN(field) TRUE, G_STRUCT_OFFSET(ServerSettings, field)
#define BYTES_MOST (G_GINT64_CONSTANT(1) << 50)

static const Setting table[] = {
    {"data", "FOLDER", "Folder of everything; troupe in the user's data folder when absent", SETTING_TEXT,
     APP(data)},
    {"listen", "HOST:PORT", "Where to listen; 127.0.0.1:8080 when absent", SETTING_TEXT, OWN(listen)},
    {"public-url", "URL", "What links begin with; where it listens when absent", SETTING_TEXT,
     APP(public_url)},
    {"fetch-allow", "CIDR,…", "Private networks that URL inputs and webhooks may reach", SETTING_TEXT,
     APP(fetch_allow)},
    {"workers", "N", "Worker processes beside the server for each pool; 1 when absent, 0 for none",
     SETTING_INTEGER, OWN(workers), 0, 64},
    {"render-cores", "N", "Cores that a normal render may use; 0 (usual) is all", SETTING_INTEGER,
     APP(render_cores), 0, 1024},
    {"fast", "BOOL", "Offer fast mode; true when absent", SETTING_TRUTH, APP(fast)},
    {"result-days", "N", "Days that results are kept; 7 when absent", SETTING_INTEGER, APP(result_days), 0,
     36500},
    {"upload-bytes", "N", "Largest request body", SETTING_INTEGER, APP(upload_bytes), 1, BYTES_MOST},
    {"jobs-unfinished", "N", "Unfinished jobs an account may have", SETTING_INTEGER, APP(jobs_unfinished), 1,
     1000000},
    {"requests-minute", "N", "Requests an account may make in a minute", SETTING_INTEGER,
     APP(requests_minute), 1, 100000000},
    {"requests-day", "N",
     "Requests under /api/v1 an account may make in a day (UTC), reads aside; 0 is no limit", SETTING_INTEGER,
     APP(requests_day), 0, 100000000},
    {"answer-seconds", "N", "How long a request waits for its pictures before they are given up",
     SETTING_INTEGER, APP(answer_seconds), 1, 86400},
    {"lease-seconds", "N", "A worker silent for so long has lost its job", SETTING_INTEGER,
     APP(lease_seconds), 1, 3600},
    {"attempts", "N", "How often a job is tried", SETTING_INTEGER, APP(attempts), 1, 100},
    {"engine-memory", "BYTES", "Address space of an engine", SETTING_INTEGER, APP(engine_memory), 1,
     BYTES_MOST},
    {"engine-seconds", "N", "Processor time of an engine", SETTING_INTEGER, APP(engine_seconds), 1, 10000000},
    {"sweep-age", "SECONDS", "How long the sweeper spares what nothing refers to", SETTING_INTEGER,
     APP(sweep_age), 0, 10000000},
    {"templates", "FOLDER", "Templates to begin with; those that come with the program when absent, or none",
     SETTING_TEXT, OWN(templates)},
    {"log", "BOOL", "Write a line of JSON for each request; true when absent", SETTING_TRUTH, OWN(log)},
};

static gpointer place(ServerSettings *settings, const Setting *setting) {
  return (char *)(setting->own ? (gpointer)settings : (gpointer)settings->app) + setting->offset;
}

static void server_settings_init(ServerSettings *settings) {
  settings->app = settings_new();
  settings->listen = g_strdup("127.0.0.1:8080");
  settings->workers = 1;
  settings->log = TRUE;
  settings->given = g_new0(char *, G_N_ELEMENTS(table) + 2); /* and --config; NULL at the end is not needed */
}

void server_settings_clear(ServerSettings *settings) {
  g_clear_pointer(&settings->app, settings_free);
  g_clear_pointer(&settings->listen, g_free);
  g_clear_pointer(&settings->templates, g_free);
  for (gsize i = 0; settings->given && i <= G_N_ELEMENTS(table); i++)
    g_free(settings->given[i]);
  g_clear_pointer(&settings->given, g_free);
}

GOptionEntry *server_settings_entries(ServerSettings *settings, const GOptionEntry *own) {
  server_settings_init(settings);
  GArray *entries = g_array_new(TRUE, TRUE, sizeof(GOptionEntry));
  for (; own && own->long_name; own++)
    g_array_append_vals(entries, own, 1);
  for (gsize i = 0; i <= G_N_ELEMENTS(table); i++) {
    gboolean config = i == G_N_ELEMENTS(table);
    GOptionEntry entry = {config ? "config" : table[i].name,
                          0,
                          0,
                          G_OPTION_ARG_STRING,
                          &settings->given[i],
                          config ? "File of settings" : table[i].help,
                          config ? "FILE" : table[i].argument};
    g_array_append_val(entries, entry);
  }
  return (GOptionEntry *)(gpointer)g_array_free(entries, FALSE);
}

/* --- values --- */

static gboolean set_truth(gboolean *value, const char *text) {
  static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
  for (gsize i = 0; i < G_N_ELEMENTS(yes); i++)
    if (!g_ascii_strcasecmp(text, yes[i]) || !g_ascii_strcasecmp(text, no[i])) {
      *value = !g_ascii_strcasecmp(text, yes[i]);
      return TRUE;
    }
  return FALSE;
}

static gboolean set_value(ServerSettings *settings, const Setting *setting, const char *text,
                          const char *where, GError **error) {
  gpointer value = place(settings, setting);
  if (setting->kind == SETTING_TEXT) {
    g_free(*(char **)value);
    *(char **)value = *text ? g_strdup(text) : NULL;
    return TRUE;
  }
  if (setting->kind == SETTING_TRUTH)
    return set_truth(value, text) ||
           fault(error, FAULT_USAGE, "%s (%s) is true or false, not \"%s\".", setting->name, where, text);
  gint64 number;
  if (!g_ascii_string_to_signed(text, 10, setting->least, setting->most, &number, NULL))
    return fault(error, FAULT_USAGE,
                 "%s (%s) is a whole number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT ", not \"%s\".",
                 setting->name, where, setting->least, setting->most, text);
  *(gint64 *)value = number;
  return TRUE;
}

/* --- sources --- */

static gboolean check_names(GKeyFile *file, const char *path, GError **error) {
  g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
  for (char **group = groups; *group; group++)
    if (!g_str_equal(*group, "troupe"))
      return fault(error, FAULT_USAGE, "%s has a group [%s]; the only one is [troupe].", path, *group);
  g_auto(GStrv) names = g_key_file_get_keys(file, "troupe", NULL, NULL);
  for (char **name = names; names && *name; name++) {
    gsize i = 0;
    while (i < G_N_ELEMENTS(table) && !g_str_equal(table[i].name, *name))
      i++;
    if (i == G_N_ELEMENTS(table))
      return fault(error, FAULT_USAGE,
                   "%s sets \"%s\", which is not a setting; `troupe serve --help` lists them.", path, *name);
  }
  return TRUE;
}

/* NULL without an error where there is no file. */
static GKeyFile *read_file(const char *named, char **path, GError **error) {
  g_autofree char *user = g_build_filename(g_get_user_config_dir(), "troupe", "troupe.conf", NULL);
  const char *const places[] = {user, "/etc/troupe/troupe.conf"};
  const char *chosen = named ? named : g_getenv("TROUPE_CONFIG");
  for (gsize i = 0; !chosen && i < G_N_ELEMENTS(places); i++)
    if (g_file_test(places[i], G_FILE_TEST_EXISTS))
      chosen = places[i];
  if (!chosen)
    return NULL;
  g_autoptr(GKeyFile) file = g_key_file_new();
  g_autoptr(GError) problem = NULL;
  if (!g_key_file_load_from_file(file, chosen, G_KEY_FILE_NONE, &problem))
    return fault_null(error, FAULT_USAGE, "The settings in %s cannot be read: %s.", chosen, problem->message);
  if (!check_names(file, chosen, error))
    return NULL;
  *path = g_strdup(chosen);
  return g_steal_pointer(&file);
}

static char *variable_name(const char *setting) {
  g_autofree char *upper = g_ascii_strup(setting, -1);
  return g_strconcat("TROUPE_", g_strdelimit(upper, "-", '_'), NULL);
}

static gboolean read_one(ServerSettings *settings, gsize i, GKeyFile *file, const char *path,
                         GError **error) {
  const Setting *setting = &table[i];
  g_autofree char *variable = variable_name(setting->name);
  g_autofree char *flag = g_strconcat("--", setting->name, NULL);
  if (settings->given[i])
    return set_value(settings, setting, settings->given[i], flag, error);
  if (g_getenv(variable))
    return set_value(settings, setting, g_getenv(variable), variable, error);
  g_autofree char *value = file ? g_key_file_get_string(file, "troupe", setting->name, NULL) : NULL;
  return !value || set_value(settings, setting, value, path, error);
}

gboolean server_settings_read(ServerSettings *settings, const char *models, GError **error) {
  g_autofree char *path = NULL;
  GError *problem = NULL;
  g_autoptr(GKeyFile) file = read_file(settings->given[G_N_ELEMENTS(table)], &path, &problem);
  if (problem) {
    g_propagate_error(error, problem);
    return FALSE;
  }
  for (gsize i = 0; i < G_N_ELEMENTS(table); i++)
    if (!read_one(settings, i, file, path, error))
      return FALSE;
  if (models)
    settings->app->models = g_canonicalize_filename(models, NULL);
  g_autofree char *data = settings->app->data ? g_steal_pointer(&settings->app->data)
                                              : g_build_filename(g_get_user_data_dir(), "troupe", NULL);
  settings->app->data = g_canonicalize_filename(data, NULL);
  return settings->listen || fault(error, FAULT_USAGE, "--listen is HOST:PORT and cannot be empty.");
}

App *server_command_open(const char *name, const GOptionEntry *own, ServerSettings *settings,
                         CommonOptions *common, int *argc, char ***argv, GError **error) {
  g_autofree GOptionEntry *entries = server_settings_entries(settings, own);
  if (!cli_parse(cli_command(name), entries, common, argc, argv, error) ||
      !server_settings_read(settings, common->models, error))
    return NULL;
  return app_open(settings->app, error);
}

static char *value_text(const Setting *setting, gconstpointer value) {
  if (setting->kind == SETTING_TEXT)
    return g_strdup(*(char *const *)value);
  if (setting->kind == SETTING_TRUTH)
    return g_strdup(*(const gboolean *)value ? "true" : "false");
  return g_strdup_printf("%" G_GINT64_FORMAT, *(const gint64 *)value);
}

void server_settings_arguments(const ServerSettings *settings, GPtrArray *arguments) {
  for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
    g_autofree char *text = value_text(&table[i], place((ServerSettings *)settings, &table[i]));
    if (text)
      g_ptr_array_add(arguments, g_strdup_printf("--%s=%s", table[i].name, text));
  }
  if (settings->app->models)
    g_ptr_array_add(arguments, g_strdup_printf("--models=%s", settings->app->models));
}
