/* Objects: files and folders under the hash of their content.
 *
 * An object never changes. Its id is the SHA-256 (64 hex digits) of a file's bytes, or, for a folder (a
 * Character, a Scene), of the list of its files' names and hashes; so the same content is kept once. Objects
 * lie in ROOT/ab/abcdef…; what is being made lies in ROOT/draft, on the same disk, so that taking it in is
 * one rename. An object is kept as long as a row of a table names it (app/jobs/sweep.h); one that was put
 * a moment ago and is named by nobody yet is spared by its age.
 *
 * Thread-safe, and safe between processes. Errors: FAULT_STORE (full disk, read-only folder: the message says
 * so), FAULT_INPUT (no such object). */
#pragma once
#include "base/fault.h"

typedef struct Objects Objects;

/* root is made when absent. */
Objects *objects_open(const char *root, GError **error);
void objects_free(Objects *objects);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Objects, objects_free)

/* Whether it looks like an id: 64 hex digits, lower case. */
gboolean objects_id_valid(const char *id);

/* A name that is free for a new file or folder on the store's disk (transfer full); nothing is made. Whoever
 * takes it removes what he made there (files_remove_tree) or puts it. */
char *objects_draft(Objects *objects, GError **error);

/* Takes the file or folder at path, which must be a draft, into the store: it is moved, or removed where the
 * store has the same content already. Makes it durable (fsync). known_hash: of a file whose SHA-256 was
 * computed while it was written, or NULL. Returns the id (transfer full); bytes (where not NULL): the size of
 * all its files. */
char *objects_put(Objects *objects, const char *path, const char *known_hash, gint64 *bytes, GError **error);

/* Where the object lies, for reading only (transfer full). A fleet's store would bring it here first. */
char *objects_path(Objects *objects, const char *id, GError **error);

/* Calls func for every object that was put (or asked to be put again) more than `age` seconds ago; where it
 * returns FALSE the object is removed. Also removes drafts of more than a day. Returns how many were removed.
 */
typedef gboolean (*ObjectsKeepFunc)(const char *id, gpointer user);
int objects_sweep(Objects *objects, gint64 age, ObjectsKeepFunc keep, gpointer user, GError **error);
/* TRUE when a file can be written to the store now (for /readyz). */
gboolean objects_writable(Objects *objects, GError **error);
