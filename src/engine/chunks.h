/* A render in a hurry: one process per chunk. Private to engine/.
 *
 * The engine's process forks them when it has loaded and before it has touched any input. Each locks itself
 * in as every engine does, with limits of its own, and draws its chunk. The first process locks itself in
 * too, passes on what the others say, and joins what they made. It cannot kill them, but they die with it.
 * Each chunk has a processor of its own, in turn. */
#pragma once
#include "engine/tasks.h"

#define CHUNKS_MOST 64

typedef struct Chunks Chunks;

/* Whether the task is a render that is to be split: {"chunks": 2 or more}, and no "chunk". */
gboolean chunks_wanted(const json_t *task);

/* Call it before the sandbox, with one thread. In the first process: what chunks_finish wants (transfer
 * full), or NULL with FAULT_INTERNAL; descriptors 3 to 2 + N are its ears. In each of the others: NULL
 * without an error; standard output is heard by the first, and *letter is the letter of its own chunk. */
Chunks *chunks_start(json_t **letter, GError **error);
void chunks_free(Chunks *chunks);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Chunks, chunks_free)

/* How many descriptors from 3 on must be kept; 0 for NULL. */
int chunks_ears(const Chunks *chunks);

/* Inside the sandbox: listens until all have ended, then joins. The result is that of the whole render. */
json_t *chunks_finish(Chunks *chunks, Work *work);
