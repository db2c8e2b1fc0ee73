/* Which processes are alive: each open App has a name that the system holds for as long as its process lives,
 * however it ends. */
#pragma once
#include <glib.h>

typedef struct {
  char *name;
  int holder; /* descriptor */
} Presence;

/* Never fails: a process that cannot hold its name counts as dead. */
void presence_begin(Presence *presence);
void presence_end(Presence *presence);
/* Whether the process of that name lives, on this machine (in this network namespace); NULL does not. */
gboolean presence_alive(const char *name);
