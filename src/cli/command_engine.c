/* troupe engine: the child process in which `serve` and `work` look at what strangers sent. Not for people,
 * so it is on no list. */
#include "cli/cli.h"
#include "engine/child.h"

#include <unistd.h>

int command_engine(int argc, char **argv) {
  int code = child_main();
  /* At once: everything is said, and destructors of libraries have nothing to save. */
  _exit(code);
}
