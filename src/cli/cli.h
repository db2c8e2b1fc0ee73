/* What the commands share: options that every command has, the display of progress, results as JSON, exit
 * codes.
 *
 * Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted. Everything for people goes to standard error;
 * standard output carries only the result that was asked for, as JSON or as text. */
#pragma once
#include "base/fault.h"
#include "base/progress.h"
#include "perception/pose.h"
#include <jansson.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

typedef struct {
  gboolean quiet;
  gboolean json;
  char *models;  /* folder of the networks, or NULL */
  char *network; /* "lite", "full", "heavy", or NULL for the usual one */
} CommonOptions;

typedef struct {
  const char *name;
  const char *arguments; /* as in the usage line */
  const char *summary;
  int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit code */
  const char *details;               /* what follows the options in --help, or NULL */
} Command;

extern const Command commands[];
extern const gsize command_count;

int command_render(int argc, char **argv);
int command_character(int argc, char **argv);
int command_scene(int argc, char **argv);
int command_train(int argc, char **argv);
int command_generate(int argc, char **argv);
int command_pose(int argc, char **argv);
int command_inspect(int argc, char **argv);
int command_serve(int argc, char **argv);
int command_work(int argc, char **argv);
int command_key(int argc, char **argv);
int command_credit(int argc, char **argv);
int command_template(int argc, char **argv);
int command_watch(int argc, char **argv);
int command_models(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_engine(int argc, char **argv); /* hidden */

/* Parses the command's own entries and the common ones; leaves what is left in argv. On --help it prints and
 * ends the program. FAULT_USAGE. */
gboolean cli_parse(const Command *command, const GOptionEntry *entries, CommonOptions *common, int *argc,
                   char ***argv, GError **error);
const Command *cli_command(const char *name);

/* usual where --network was not given. FAULT_USAGE. */
gboolean cli_network(const CommonOptions *common, PoseNetwork usual, PoseNetwork *network, GError **error);

/* Starts the display: SIGINT and SIGTERM cancel the returned Progress (owned by the display). */
Progress *cli_progress_begin(const CommonOptions *common);
/* Ends it; prints the remarks of the work unless quiet. */
void cli_progress_end(void);

/* Prints the error, if any, and gives the exit code. Frees the error. */
int cli_finish(const char *command, GError *error);

/* Prints and releases a result. */
void cli_print_json(json_t *object);

/* The remarks of the work as a JSON array. */
json_t *cli_notes_json(Progress *progress);
