/* Objects in a folder.
 *
 * What is taken in is written through to the disk before it is renamed to its place, and the place's folder
 * after it, so whoever gets an id can rely on it. A rename shows the whole object or nothing.
 *
 * Putting and sweeping must not cross: one process finds the object there already and relies on it while
 * another is removing it. Both hold ROOT/lock for that moment, putting shared, removing alone. Putting
 * touches what it finds, removing looks at the age once more under the lock; so whatever was put is spared
 * for `age` from then on. A removal under the lock is a rename to a draft's name; the files go after it. */
#include "store/objects.h"
#include "base/checksum.h"
#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID_DIGITS 64
#define DRAFT_SECONDS (24 * 3600)
#define FOLDER_DEPTH_MOST 8

struct Objects {
  char *root, *drafts, *lock;
};

/* ---- errors, files ---- */

static gboolean failure(GError **error, int number, const char *path) {
  if (number == ENOSPC || number == EDQUOT)
    return fault(error, FAULT_STORE, "The disk that holds %s is full. Make room on it and try again.", path);
  if (number == EROFS || number == EACCES || number == EPERM)
    return fault(error, FAULT_STORE,
                 "%s cannot be written. Make sure that this user may write there and that the "
                 "disk is not mounted read-only, then try again.",
                 path);
  return fault(error, FAULT_STORE, "%s cannot be read or written: %s.", path, g_strerror(number));
}

static gboolean make_folder(const char *path, GError **error) {
  if (g_mkdir_with_parents(path, 0700) == 0)
    return TRUE;
  return failure(error, errno, path);
}

/* Of a file or a folder. */
static gboolean write_through(const char *path, GError **error) {
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0)
    return failure(error, errno, path);
  int result = fsync(file), number = errno;
  close(file);
  return result == 0 || failure(error, number, path);
}

static char *random_name(void) {
  guint8 bytes[12];
  GString *name = g_string_new(NULL);
  if (getrandom(bytes, sizeof bytes, 0) != (gssize)sizeof bytes)
    g_error("The system has no random numbers: %s", g_strerror(errno));
  for (gsize i = 0; i < sizeof bytes; i++)
    g_string_append_printf(name, "%02x", bytes[i]);
  return g_string_free(name, FALSE);
}

gboolean objects_id_valid(const char *id) {
  return strlen(id) == ID_DIGITS && strspn(id, "0123456789abcdef") == ID_DIGITS;
}

/* ---- opening ---- */

Objects *objects_open(const char *root, GError **error) {
  g_autoptr(Objects) objects = g_new0(Objects, 1);
  objects->root = g_strdup(root);
  objects->drafts = g_build_filename(root, "draft", NULL);
  objects->lock = g_build_filename(root, "lock", NULL);
  return make_folder(objects->drafts, error) ? g_steal_pointer(&objects) : NULL;
}

void objects_free(Objects *objects) {
  if (!objects)
    return;
  g_free(objects->root);
  g_free(objects->drafts);
  g_free(objects->lock);
  g_free(objects);
}

char *objects_draft(Objects *objects, GError **error) {
  if (!g_file_test(objects->drafts, G_FILE_TEST_IS_DIR) && !make_folder(objects->drafts, error))
    return NULL;
  g_autofree char *name = random_name();
  return g_build_filename(objects->drafts, name, NULL);
}

static char *place_of(const Objects *objects, const char *id) {
  return g_strdup_printf("%s/%.2s/%s", objects->root, id, id);
}

char *objects_path(Objects *objects, const char *id, GError **error) {
  struct stat status;
  if (!id || !objects_id_valid(id))
    return fault_null(error, FAULT_INPUT, "That is not the id of an object.");
  g_autofree char *path = place_of(objects, id);
  if (lstat(path, &status) == 0)
    return g_steal_pointer(&path);
  if (errno == ENOENT || errno == ENOTDIR)
    return fault_null(error, FAULT_INPUT, "The object is not there any more.");
  failure(error, errno, path);
  return NULL;
}

/* The lock is a descriptor; closing it lets go. -1 with *error set. */
static int lock_take(Objects *objects, int operation, GError **error) {
  int file = open(objects->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0)
    return failure(error, errno, objects->lock), -1;
  int result;
  while ((result = flock(file, operation)) != 0 && errno == EINTR)
    continue;
  if (result == 0)
    return file;
  failure(error, errno, objects->lock);
  close(file);
  return -1;
}

/* ---- the content's name ---- */

/* Adds the file's size to bytes. */
static char *hash_file(const char *path, gint64 *bytes, GError **error) {
  gint64 size = 0;
  char *hash = checksum_file(path, &size, error);
  *bytes += size;
  return hash;
}

static int by_name(gconstpointer a, gconstpointer b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static GPtrArray *names_in(const char *path, GError **error) {
  g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
  if (!folder)
    return failure(error, errno, path), NULL;
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  for (const char *name; (name = g_dir_read_name(folder));)
    g_ptr_array_add(names, g_strdup(name));
  g_ptr_array_sort(names, by_name);
  return names;
}

static gboolean take_in(const char *path, const char *inside, int depth, GChecksum *list, gint64 *bytes,
                        GError **error);

/* Adds a file or folder to the list of the folder that is being named: "HASH PATH", a line for each file. */
static gboolean take_in_entry(const char *path, const char *inside, int depth, GChecksum *list, gint64 *bytes,
                              GError **error) {
  struct stat status;
  if (lstat(path, &status) != 0)
    return failure(error, errno, path);
  if (S_ISDIR(status.st_mode))
    return take_in(path, inside, depth + 1, list, bytes, error);
  if (!S_ISREG(status.st_mode))
    return fault(error, FAULT_INPUT, "%s is neither a file nor a folder.", path);
  g_autofree char *hash = hash_file(path, bytes, error);
  if (!hash || !write_through(path, error))
    return FALSE;
  g_autofree char *line = g_strdup_printf("%s %s\n", hash, inside);
  g_checksum_update(list, (const guchar *)line, (gssize)strlen(line) + 1);
  return TRUE;
}

static gboolean take_in(const char *path, const char *inside, int depth, GChecksum *list, gint64 *bytes,
                        GError **error) {
  if (depth > FOLDER_DEPTH_MOST)
    return fault(error, FAULT_INPUT, "%s has too many folders within folders.", path);
  g_autoptr(GPtrArray) names = names_in(path, error);
  if (!names)
    return FALSE;
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *child = g_build_filename(path, names->pdata[i], NULL);
    g_autofree char *within =
        *inside ? g_strdup_printf("%s/%s", inside, (char *)names->pdata[i]) : g_strdup(names->pdata[i]);
    if (!take_in_entry(child, within, depth, list, bytes, error))
      return FALSE;
  }
  return write_through(path, error);
}

/* The id of what lies at path, whose bytes are on the disk when it returns. */
static char *name_content(const char *path, const char *known_hash, gboolean folder, gint64 *bytes,
                          GError **error) {
  if (folder) {
    g_autoptr(GChecksum) list = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(list, (const guchar *)"folder", 7);
    return take_in(path, "", 0, list, bytes, error) ? g_strdup(g_checksum_get_string(list)) : NULL;
  }
  struct stat status;
  g_autofree char *id = known_hash ? g_strdup(known_hash) : hash_file(path, bytes, error);
  if (!id || !write_through(path, error))
    return NULL;
  if (known_hash && lstat(path, &status) == 0)
    *bytes = status.st_size;
  return g_steal_pointer(&id);
}

/* ---- putting ---- */

/* Under the shared lock: the object is at its place, young, when it returns TRUE. */
static gboolean settle(const char *path, const char *place, gboolean folder, GError **error) {
  struct stat status;
  gboolean there = lstat(place, &status) == 0;
  if (!there && g_rename(path, place) != 0) {
    if (errno != EEXIST && errno != ENOTEMPTY)
      return failure(error, errno, place);
    there = lstat(place, &status) == 0; /* somebody was faster */
  }
  if (there && folder != S_ISDIR(status.st_mode))
    return fault(error, FAULT_STORE, "%s is not what its name says. Remove it.", place);
  if (utimensat(AT_FDCWD, place, NULL, AT_SYMLINK_NOFOLLOW) != 0)
    return failure(error, errno, place);
  if (there)
    files_remove_tree(path);
  return TRUE;
}

static gboolean put_at(Objects *objects, const char *path, const char *place, gboolean folder,
                       GError **error) {
  g_autofree char *shelf = g_path_get_dirname(place);
  gboolean fresh = !g_file_test(shelf, G_FILE_TEST_IS_DIR);
  if (fresh && (!make_folder(shelf, error) || !write_through(objects->root, error)))
    return FALSE;
  int lock = lock_take(objects, LOCK_SH, error);
  if (lock < 0)
    return FALSE;
  gboolean done = settle(path, place, folder, error);
  close(lock);
  return done && write_through(shelf, error);
}

char *objects_put(Objects *objects, const char *path, const char *known_hash, gint64 *bytes, GError **error) {
  struct stat status;
  gint64 size = 0;
  if (lstat(path, &status) != 0)
    return failure(error, errno, path), NULL;
  gboolean folder = S_ISDIR(status.st_mode);
  if (!folder && !S_ISREG(status.st_mode))
    return fault_null(error, FAULT_INPUT, "%s is neither a file nor a folder.", path);
  if (known_hash && (folder || !objects_id_valid(known_hash)))
    return fault_null(error, FAULT_INTERNAL, "The hash of %s is not one.", path);
  g_autofree char *id = name_content(path, known_hash, folder, &size, error);
  if (!id)
    return NULL;
  g_autofree char *place = place_of(objects, id);
  if (!put_at(objects, path, place, folder, error))
    return NULL;
  if (bytes)
    *bytes = size;
  return g_steal_pointer(&id);
}

/* ---- sweeping ---- */

static gboolean older(const char *path, gint64 seconds) {
  struct stat status;
  return lstat(path, &status) == 0 && g_get_real_time() / G_USEC_PER_SEC - status.st_mtim.tv_sec >= seconds;
}

/* Moves the object out of the way if it is still old and unwanted now that nobody is putting. gone: its new
 * name (transfer full), or NULL when it stays. */
static gboolean set_aside(Objects *objects, const char *id, const char *place, gint64 age,
                          ObjectsKeepFunc keep, gpointer user, char **gone, GError **error) {
  *gone = NULL;
  g_autofree char *aside = objects_draft(objects, error);
  int lock = aside ? lock_take(objects, LOCK_EX, error) : -1;
  if (lock < 0)
    return FALSE;
  gboolean done = TRUE;
  if (older(place, age) && !keep(id, user)) {
    if (g_rename(place, aside) == 0)
      *gone = g_steal_pointer(&aside);
    else if (errno != ENOENT)
      done = failure(error, errno, place);
  }
  close(lock);
  return done;
}

static gboolean sweep_shelf(Objects *objects, const char *shelf, gint64 age, ObjectsKeepFunc keep,
                            gpointer user, int *removed, GError **error) {
  g_autoptr(GPtrArray) names = names_in(shelf, error);
  for (guint i = 0; names && i < names->len; i++) {
    const char *id = names->pdata[i];
    g_autofree char *place = g_build_filename(shelf, id, NULL), *gone = NULL;
    if (!objects_id_valid(id) || !older(place, age) || keep(id, user))
      continue;
    if (!set_aside(objects, id, place, age, keep, user, &gone, error))
      return FALSE;
    if (gone) {
      files_remove_tree(gone);
      (*removed)++;
    }
  }
  return names != NULL;
}

static void sweep_drafts(Objects *objects) {
  g_autoptr(GPtrArray) names = names_in(objects->drafts, NULL);
  for (guint i = 0; names && i < names->len; i++) {
    g_autofree char *path = g_build_filename(objects->drafts, names->pdata[i], NULL);
    if (older(path, DRAFT_SECONDS))
      files_remove_tree(path);
  }
}

int objects_sweep(Objects *objects, gint64 age, ObjectsKeepFunc keep, gpointer user, GError **error) {
  int removed = 0;
  sweep_drafts(objects);
  g_autoptr(GPtrArray) shelves = names_in(objects->root, error);
  if (!shelves)
    return -1;
  for (guint i = 0; i < shelves->len; i++) {
    const char *name = shelves->pdata[i];
    if (strlen(name) != 2)
      continue;
    g_autofree char *shelf = g_build_filename(objects->root, name, NULL);
    if (!sweep_shelf(objects, shelf, age, keep, user, &removed, error))
      return -1;
  }
  return removed;
}

gboolean objects_writable(Objects *objects, GError **error) {
  static const char block[4096];
  g_autofree char *path = objects_draft(objects, error);
  if (!path)
    return FALSE;
  int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0)
    return failure(error, errno, path);
  gssize written = write(file, block, sizeof block);
  int number = written < 0 ? errno : written < (gssize)sizeof block ? ENOSPC : 0;
  if (close(file) != 0 && number == 0)
    number = errno;
  g_unlink(path);
  return number == 0 || failure(error, number, objects->root);
}
