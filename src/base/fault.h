/* Errors of the whole program.
 *
 * Every function that can fail takes a GError ** last and returns FALSE or NULL. There is one domain: what a
 * caller must know is not which file failed but what kind of trouble it is, because the exit code, the HTTP
 * status and the advice to the user depend on that alone. The message is one sentence that says what is wrong
 * and what to do.
 *
 *   if (width > PICTURE_MAX_SIDE)
 *     return fault(error, FAULT_LIMIT, "%s is %d pixels wide; the limit is %d. Make it smaller.", path,
 * width, limit);
 */
#pragma once
#include <glib.h>

typedef enum {
  FAULT_INTERNAL,  /* our own mistake, or a library's */
  FAULT_USAGE,     /* the command or the options are wrong */
  FAULT_INPUT,     /* a file is missing, empty, damaged, or of a type that is not supported */
  FAULT_LIMIT,     /* an input is larger, longer, smaller or shorter than the limits allow */
  FAULT_NOBODY,    /* nobody was found where somebody is needed */
  FAULT_NETWORK,   /* a network file is missing or damaged */
  FAULT_OUTPUT,    /* the result cannot be written */
  FAULT_CANCELLED, /* interrupted by the user */
  FAULT_MEMORY,    /* it needs more memory than there is */
  FAULT_STORE,     /* the tables or objects cannot be read or written: full disk, read-only folder, damage */
} Fault;

#define FAULT (fault_quark())
GQuark fault_quark(void);

/* Sets *error (where error is not NULL) and returns FALSE, so that a failure is one line. */
gboolean fault(GError **error, Fault kind, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The same for functions that return a pointer. */
#define fault_null(...) (fault(__VA_ARGS__), NULL)
