/* Which processors a child is held on, so that children of all processes of this host and user that run at
 * the same time get different ones. Private to engine/. */
#pragma once
#include <glib.h>

typedef struct {
  GArray *cpus;  /* int: numbers of processors */
  GArray *locks; /* int: descriptors that hold them */
} Cores;

/* Takes `count` of the processors that this process may use: free ones first. All of them where there are no
 * more than that. */
void cores_take(Cores *cores, int count);
void cores_release(Cores *cores);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Cores, cores_release)

/* The processor for part number of a task that uses all: those that this process may use, one after the other
 * and from the first again; -1 when that cannot be told. */
int cores_of_part(int number);
