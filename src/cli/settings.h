/* The settings of the server's commands: from flags, then TROUPE_* variables, then troupe.conf.
 *
 * Every setting has one name: --render-cores on the command line, TROUPE_RENDER_CORES in the environment,
 * render-cores in the file, which is that of --config or TROUPE_CONFIG, else troupe/troupe.conf in the user's
 * configuration folder, else /etc/troupe/troupe.conf:
 *
 *   [troupe]
 *   listen = 0.0.0.0:8080
 *   fetch-allow = 10.0.0.0/8 */
#pragma once
#include "app/app.h"
#include "cli/cli.h"

typedef struct {
  Settings *app;
  char *listen;   /* "127.0.0.1:8080" */
  gint64 workers; /* worker processes that `serve` keeps for each pool */
  gboolean log;   /* a line for each request */
  char
      *templates; /* folder of those that a new installation begins with; "none", or NULL for the usual one */
  char **given;   /* what flags said, by place in the table */
} ServerSettings;

/* The flags of all settings, followed by the command's own entries (or NULL). The result and what it points
 * to live as long as the settings. */
GOptionEntry *server_settings_entries(ServerSettings *settings, const GOptionEntry *own);
/* After parsing: gathers the values and checks them. models: of CommonOptions. FAULT_USAGE names the setting
 * and where it was set. */
gboolean server_settings_read(ServerSettings *settings, const char *models, GError **error);
void server_settings_clear(ServerSettings *settings);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ServerSettings, server_settings_clear)

/* Parses a command's line and opens its App in one go: for the operator's commands. own: entries of its own
 * or NULL. */
App *server_command_open(const char *name, const GOptionEntry *own, ServerSettings *settings,
                         CommonOptions *common, int *argc, char ***argv, GError **error);

/* The same settings as arguments for another process of this program (--name=value), appended. */
void server_settings_arguments(const ServerSettings *settings, GPtrArray *arguments);
