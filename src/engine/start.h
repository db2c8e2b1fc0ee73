/* Starting the engine's process and handing it its task. Private to engine/. */
#pragma once
#include "engine/child.h"
#include "engine/cores.h"

#include <sys/types.h>

typedef struct {
  pid_t pid;          /* leads a process group of its own */
  int words, murmurs; /* its standard output and error, to be closed by the caller */
} Engine;

/* A waiting engine where the limits name one, else a new one. cores: those that it is held on. */
gboolean engine_start(json_t *task, const ChildLimits *limits, const Cores *cores, Engine *engine,
                      GError **error);
