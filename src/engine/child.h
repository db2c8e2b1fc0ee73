/* Engines in a child process that can hurt nobody.
 *
 * The parent starts this very program as `troupe engine`, hands it one task as JSON on standard input, and
 * reads what it says as lines of JSON on standard output. The child locks itself in before it touches any
 * input (engine/sandbox.h): no network, no other processes, no files but those of its task, limits on memory,
 * processor time, file size and descriptors. It is killed when the parent dies, when it is told to stop, or
 * when it is silent for too long.
 *
 * Tasks, all paths absolute, and their results:
 *   {"do": "inspect-picture", "picture": FILE}
 *     -> {"type": "png|jpeg|webp", "width", "height"}
 *   {"do": "inspect-pictures", "pictures": [FILE…]}
 *     -> {"pictures": [as above, or {"code", "message"}…]}
 *   {"do": "inspect-video", "video": FILE}
 *     -> {"type": "mp4|mov|webm|avi|mkv", "seconds", "fps", "frames", "width", "height", "sound": bool}
 *   {"do": "character", "picture": FILE, "out": FOLDER}
 *     -> {"width", "height"}
 *   {"do": "scene", "video": FILE, "model": M, "out": FOLDER}
 *     -> {"seconds", "fps", "frames", "width", "height", "sound", "people": [{"id", "frames"}]}; the person
 *        who is seen most comes first
 *   {"do": "render", "scene": FOLDER, "roles": [{"person": ID or 0, "character": FOLDER}],
 *    "background": "original|solid|transparent", "colour": [r, g, b], "audio": bool, "threads": N,
 *    "chunks": N, "out": FILE, "mask": FILE or null}
 *     -> {"frames", "acted", "seconds", "width", "height", "sound"}; with N of 2 or more it is drawn by as
 *        many processes side by side, each with the limits below for itself, and joined (engine/chunks.h)
 *   {"do": "inspect", "pictures": [FILE…]}
 *     -> {"pictures": [report…], "remarks": […], "chosen": INDEX}, as identity/inspect/inspect_json.h has it
 *   {"do": "train", "pictures": [FILE…], "model": FOLDER, "trigger", "class", "seed", "steps" or absent,
 *    "out": FOLDER}
 *     -> {"steps", "best_step", "loss", "first_loss", "stopped_early"}; out becomes a Character's folder
 *        (identity/training/character_training.h); a checkpoint in its training/ is taken up. Measures step,
 * steps, loss
 *   {"do": "generate", "prompt", "model": FOLDER, "lora": FILE or absent, "aspect": "3:4", "count", "seed",
 *    "strength", "references": [FILE…], "out": FOLDER}
 *     -> {"images": ["01.png", …], "width", "height", "seed"}; the files lie in out
 *
 * Every result has "notes": remarks for the user.
 *
 * Lines that come back: {"progress": {"stage", "done", "total"}, "facts": {"loss": 0.5, …}}, where the facts
 * are what was measured (base/progress.h), and last {"result": {…}} or {"error": {"code", "message"}}, where
 * code is the name of a Refusal (app/refusal.h):
 *   picture_format, picture_too_large, picture_broken, video_format, video_too_long, video_too_large (bytes),
 *   video_size, video_too_small (or too short), video_broken, nobody: the input's fault;
 *   model: the Scene was prepared, or the LoRA learnt, for another; diverged: the numbers of a training
 *   broke; memory: there is too little; busy: the disk is full or read only; internal: all else. */
#pragma once
#include "base/fault.h"
#include "base/progress.h"
#include <jansson.h>

#define CHILD_MEMORY (8 * G_GINT64_CONSTANT(1073741824))
#define CHILD_CPU_SECONDS 3600

typedef struct ChildSpare ChildSpare;

typedef struct {
  const char
      *program; /* path of troupe; NULL: what TROUPE_PROGRAM names, else this process's own executable */
  const char *models;   /* folder of the networks, or NULL */
  const char *writable; /* folder in which the task may write: its scratch, in which all its outputs lie; NULL
                           for none */
  gint64 memory;        /* bytes of address space; 0: CHILD_MEMORY */
  gint64 cpu_seconds;   /* 0: CHILD_CPU_SECONDS */
  gint64 silence;       /* seconds without a line until it is given up; 0: 120 */
  gint64 seconds;       /* in all, by the clock on the wall; 0: twice the processor time */
  int cores;            /* it is held on so many processors; 0: all. Different children get different ones */
  ChildSpare *spare;    /* where an engine may wait already, or NULL */
} ChildLimits;

/* An engine that was started ahead of its task, of the same program. An engine takes about 100 ms to load its
 * libraries and to leave the namespaces; whoever waits for work has that time. It has touched no input, and
 * ends with this process. Any thread may use it. program: as in ChildLimits. */
ChildSpare *child_spare_new(const char *program);
/* Starts it where there is none. It is the calling thread with which an engine dies. */
void child_spare_ready(ChildSpare *spare);
void child_spare_free(ChildSpare *spare);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ChildSpare, child_spare_free)

typedef struct {
  json_t *result; /* of a task that ended well */
  char *code;     /* of one that did not: a Refusal's name; NULL when the child was killed or crashed */
  char *message;  /* one sentence; that of a code is fit for the user and names no path of this machine */
  char *murmur;   /* what it wrote to standard error, for the log; "" for nothing */
  char *sandbox;  /* the layers in force: "limits, namespaces, files, calls" (engine/sandbox.h) */
} ChildOutcome;
void child_outcome_clear(ChildOutcome *outcome);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ChildOutcome, child_outcome_clear)

/* Runs one task to its end on the calling thread; several may run at a time on different threads. FALSE with
 * FAULT_INTERNAL when no child could be started, FAULT_CANCELLED when progress was cancelled (the child is
 * gone then); otherwise TRUE and the outcome says how it went: well when outcome->result is set. task:
 * borrowed. */
gboolean child_run(json_t *task, const ChildLimits *limits, ChildOutcome *outcome, Progress *progress,
                   GError **error);

/* The child's side: reads the task, locks itself in, does it; returns the exit code. For `troupe engine`. */
int child_main(void);
