/* troupe key, credit, template: what the operator of a server does on its host, beside the running server or
 * without one. */
#include "app/jobs/jobs.h"
#include "app/templates/templates.h"
#include "cli/settings.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
  CommonOptions common;
  ServerSettings settings;
  char *dialect, *scopes, *account, *name, *description, *category;
  double credits;
  int days;
} Options;

static void options_clear(Options *options) {
  char **texts[] = {&options->dialect,     &options->scopes,   &options->account,      &options->name,
                    &options->description, &options->category, &options->common.models};
  for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
    g_clear_pointer(texts[i], g_free);
  server_settings_clear(&options->settings);
}

static char *day_text(gint64 milliseconds) {
  return milliseconds ? app_time_text(milliseconds) : g_strdup("never");
}

/* --- key --- */

static gboolean key_make(App *app, const Options *options, const char *unused, GError **error) {
  if (!isfinite(options->credits) || options->credits < 0 || options->credits > 1e12)
    return fault(error, FAULT_USAGE, "--credits is a number from 0 to a million millions.");
  if (options->days < 0 || options->days > 36500)
    return fault(error, FAULT_USAGE, "--expires is a number of days from 1 to 36500.");
  gint64 expires = options->days ? app_now() + (gint64)options->days * 86400 * 1000 : 0;
  KeyOptions wanted = {.dialect = options->dialect ? options->dialect : "viggle",
                       .scopes = options->scopes,
                       .credits = llround(options->credits * CREDIT),
                       .expires = expires,
                       .account = options->account};
  g_autofree char *key = key_create(app, &wanted, error);
  if (key)
    puts(key);
  return key != NULL;
}

static gboolean key_show(App *app, const Options *options, const char *unused, GError **error) {
  g_autoptr(GPtrArray) keys = key_list(app, error);
  for (guint i = 0; keys && i < keys->len; i++) {
    const Key *key = keys->pdata[i];
    g_autofree char *created = app_time_text(key->created), *expires = day_text(key->expires);
    printf("%s  %-16s %-7s %-12s scopes %s, made %s, expires %s%s\n", key->id, key->hint, key->dialect,
           key->account_name, key->scopes, created, expires, key->revoked ? ", revoked" : "");
  }
  return keys != NULL;
}

static gboolean key_end(App *app, const Options *options, const char *key, GError **error) {
  return key_revoke(app, key, error);
}

/* --- credit --- */

static gboolean credit_show(App *app, const Options *options, const char *unused, GError **error) {
  g_autofree char *account = account_find(app, options->account, error);
  Balance balance;
  if (!account || !account_balance(app, account, &balance, error))
    return FALSE;
  printf("balance %.2f, reserved %.2f, used %.2f, purchased %.2f\n", (double)balance.balance / CREDIT,
         (double)balance.reserved / CREDIT, (double)balance.used / CREDIT,
         (double)balance.purchased / CREDIT);
  return TRUE;
}

static gboolean credit_add(App *app, const Options *options, const char *amount, GError **error) {
  char *end;
  double credits = g_ascii_strtod(amount, &end);
  if (end == amount || *end || !isfinite(credits) || credits <= 0 || credits > 1e12)
    return fault(error, FAULT_USAGE, "The credits to add are a number above 0, not \"%s\".", amount);
  g_autofree char *account = account_find(app, options->account, error);
  g_autoptr(Session) session = account ? database_begin(app->database, DATABASE_WRITE, error) : NULL;
  if (!session ||
      !ledger_grant(session, account, llround(credits * CREDIT), "added by the operator", error) ||
      !session_commit(session, error))
    return FALSE;
  g_clear_pointer(&session, session_free);
  return credit_show(app, options, NULL, error);
}

/* --- template --- */

static gboolean template_publish(App *app, const Options *options, const char *path, GError **error) {
  TemplateWords words = {
      .name = options->name, .description = options->description, .category = options->category};
  g_autofree char *id = template_add(app, path, &words, NULL, error);
  if (id)
    puts(id);
  return id != NULL;
}

static gboolean template_show(App *app, const Options *options, const char *unused, GError **error) {
  g_autoptr(GPtrArray) templates = template_list(app, error);
  for (guint i = 0; templates && i < templates->len; i++) {
    const TemplateRow *row = templates->pdata[i];
    printf("%s  %-6s %-10s %s\n", row->id, row->kind, *row->model ? row->model : "any", row->name);
  }
  return templates != NULL;
}

static gboolean template_end(App *app, const Options *options, const char *id, GError **error) {
  return template_remove(app, id, error);
}

/* --- the commands --- */

typedef struct {
  const char *command, *verb;
  const char *argument; /* what must follow the verb; NULL for nothing */
  gboolean (*run)(App *app, const Options *options, const char *argument, GError **error);
} Verb;

static const Verb verbs[] = {
    {"key", "create", NULL, key_make},
    {"key", "list", NULL, key_show},
    {"key", "revoke", "KEY", key_end},
    {"credit", "add", "CREDITS", credit_add},
    {"credit", "show", NULL, credit_show},
    {"template", "add", "SCENE-FOLDER|VIDEO|FILE.json", template_publish},
    {"template", "list", NULL, template_show},
    {"template", "remove", "ID", template_end},
};

static gboolean dispatch(const char *command, App *app, const Options *options, int argc, char **argv,
                         GError **error) {
  g_autoptr(GString) known = g_string_new(NULL);
  for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++) {
    const Verb *verb = &verbs[i];
    if (!g_str_equal(verb->command, command))
      continue;
    g_string_append_printf(known, "%s%s%s%s", known->len ? ", " : "", verb->verb, verb->argument ? " " : "",
                           verb->argument ? verb->argument : "");
    if (argc < 2 || !g_str_equal(argv[1], verb->verb))
      continue;
    if (argc != (verb->argument ? 3 : 2))
      return fault(error, FAULT_USAGE, "It is `troupe %s %s%s%s`.", command, verb->verb,
                   verb->argument ? " " : "", verb->argument ? verb->argument : "");
    return verb->run(app, options, verb->argument ? argv[2] : NULL, error);
  }
  return fault(error, FAULT_USAGE, "Say what to do: `troupe %s` and one of %s.", command, known->str);
}

static int run(const char *command, int argc, char **argv) {
  umask(077);
  Options options = {0};
  const GOptionEntry entries[] = {
      {"dialect", 0, 0, G_OPTION_ARG_STRING, &options.dialect,
       "Whose form a new key has: viggle (usual; VicSee too) or prism", "NAME"},
      {"credits", 0, 0, G_OPTION_ARG_DOUBLE, &options.credits, "Credits that come with a new key", "N"},
      {"scopes", 0, 0, G_OPTION_ARG_STRING, &options.scopes,
       "What a new key may do: read, write, templates:read (Prism), several, or * (usual)", "SCOPES"},
      {"expires", 0, 0, G_OPTION_ARG_INT, &options.days, "Days until a new key expires; never when absent",
       "DAYS"},
      {"account", 0, 0, G_OPTION_ARG_STRING, &options.account, "Whose; this installation's own when absent",
       "NAME"},
      {"name", 0, 0, G_OPTION_ARG_STRING, &options.name,
       "Name of a template; the folder's, or the file's title, when absent", "NAME"},
      {"description", 0, 0, G_OPTION_ARG_STRING, &options.description, "What a template is for", "TEXT"},
      {"category", 0, 0, G_OPTION_ARG_STRING, &options.category, "Category of a template", "NAME"},
      {NULL},
  };
  GError *error = NULL;
  App *app = server_command_open(command, entries, &options.settings, &options.common, &argc, &argv, &error);
  if (app)
    dispatch(command, app, &options, argc, argv, &error);
  app_free(app);
  options_clear(&options);
  return cli_finish(command, error);
}

int command_key(int argc, char **argv) {
  return run("key", argc, argv);
}

int command_credit(int argc, char **argv) {
  return run("credit", argc, argv);
}

int command_template(int argc, char **argv) {
  return run("template", argc, argv);
}
